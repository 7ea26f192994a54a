"""Text that may be shown: no password of a storage stands in it."""

from __future__ import annotations

import re

STARS = "***"
# user:password@ after a scheme, up to the last @ of the word: a password may hold one itself.
_USER = re.compile(r"(://[^\s/:@\"'<>]*):[^\s\"'<>]*@")
# password=... of a URL's query or of a list of settings.
_SETTING = re.compile(r"\b(pass(?:word|wd|file)?|pwd|sslpassword|token)(=)[^\s&;,\"'<>]+", re.I)


def masked(text: str) -> str:
    """The text with every password of a URL or connection string replaced by stars."""
    return _SETTING.sub(rf"\1\2{STARS}", _USER.sub(rf"\1:{STARS}@", text))
