"""What Schemathesis cannot send by itself."""

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def serialize_lines(context, value):
    """JSON one a line, which the description has as a text."""
    return value.encode() if isinstance(value, str) else str(value).encode()
