"""Whether an image file is whole. OpenCV fills what is missing with grey, and each of its versions another way."""

import re
import struct

_JPEG = b"\xff\xd8"
_JPEG_END = b"\xff\xd9"
_JPEG_SCAN = 0xDA
_JPEG_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_CHUNK_EXTRA = 12  # length, type and checksum
_BMP_HEADER = struct.Struct("<2sIHHIIiiHHI")
_BMP_INFO_HEADER = 40
_RIFF_HEADER, _WEBP_HEADER = 8, 12


def is_whole(data: bytes) -> bool:
    """Whether a JPEG, PNG, BMP or WebP file reaches its end; True for what is none of these, which a decoder judges.

    Bytes behind the end do not matter, as telephones append them; nor do thumbnails, which have an end of their own.
    """
    if data.startswith(_JPEG):
        return _is_whole_jpeg(data)
    if data.startswith(_PNG):
        return _is_whole_png(data)
    if data.startswith(b"BM"):
        return _is_whole_bmp(data)
    if data.startswith(b"RIFF") and data[8:_WEBP_HEADER] == b"WEBP":
        length: int = struct.unpack_from("<I", data, 4)[0]
        return len(data) >= length + _RIFF_HEADER
    return True


def _is_whole_jpeg(data: bytes) -> bool:
    """Walk from segment to segment by their lengths up to the pixels, where only the end is written 0xff 0xd9."""
    place = len(_JPEG)
    while found := _MARKER.search(data, place):
        marker, place = data[found.end() - 1], found.end()
        if marker == _JPEG_SCAN:
            return data.find(_JPEG_END, place) >= 0
        if marker not in _JPEG_WITHOUT_LENGTH:
            if place + 2 > len(data):
                return False
            place += struct.unpack_from(">H", data, place)[0]
    return False


def _is_whole_png(data: bytes) -> bool:
    place: int = len(_PNG)
    while place + _PNG_CHUNK_EXTRA <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        place += length + _PNG_CHUNK_EXTRA
        if kind == b"IEND":
            return place <= len(data)
    return False


def _is_whole_bmp(data: bytes) -> bool:
    if len(data) < _BMP_HEADER.size:
        return False
    fields: tuple[int, ...] = _BMP_HEADER.unpack_from(data)
    start, header, width, height, _, bits, compression = fields[4:]
    if header < _BMP_INFO_HEADER or compression:  # of OS/2, or packed: the decoder finds its end
        return True
    row = (abs(width) * bits + 31) // 32 * 4
    return len(data) >= start + row * abs(height)
