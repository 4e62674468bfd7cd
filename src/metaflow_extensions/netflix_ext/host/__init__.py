"""The Metaflow side as a library: settings, wiring, and what the plug-ins call."""
