"""What the steps of the benchmark flows do, with and without environments."""


def first():
    """Print the line that "to the first line" is measured to, then import pandas."""
    print("FIRST LINE", flush=True)
    import pandas

    return pandas.__version__


def second():
    """Import scikit-learn."""
    import sklearn.ensemble

    return sklearn.ensemble.__name__
