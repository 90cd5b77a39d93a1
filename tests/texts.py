"""A text as people's tools save it: each way gives what reads the same everywhere."""

import codecs

SAVED = {
    "utf-8": lambda text: text.encode(),
    "utf-8-mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "utf-16-le": lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
    "utf-16-be": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "utf-32": lambda text: codecs.BOM_UTF32_LE + text.encode("utf-32-le"),
    "crlf": lambda text: text.replace("\n", "\r\n").encode(),
    "notepad": lambda text: codecs.BOM_UTF8 + text.replace("\n", "\r\n").encode(),
    "powershell": lambda text: codecs.BOM_UTF16_LE + f"{text}\n".replace("\n", "\r\n").encode("utf-16-le"),
}
