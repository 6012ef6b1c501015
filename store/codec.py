"""How a record becomes bytes: a checksum that also binds it to its place, then msgpack."""

from hashlib import blake2b
from typing import TypeVar

import msgspec

from store.errors import StoreCorruptError
from store.text import printable

T = TypeVar("T")

CHECKSUM_BYTES = 16
_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_DECODERS: dict[type, msgspec.msgpack.Decoder[object]] = {}


def encode(record: object) -> bytes:
    """Encode deterministically: equal records give equal bytes, whatever order a dict was built in.

    Raises TypeError naming the type for a value that is not JSON-able.
    """
    return _ENCODER.encode(record)


def checksum(place: bytes, payload: bytes) -> bytes:
    """Return 16 bytes of BLAKE2b over the place (table and key) and the payload.

    The place is part of it so that two intact values that changed places are noticed too.
    """
    digest = blake2b(digest_size=CHECKSUM_BYTES, person=b"lfsd record v1")
    digest.update(len(place).to_bytes(4, "big") + place)
    digest.update(payload)
    return digest.digest()


def seal(place: bytes, record: object) -> bytes:
    """Encode a record with its checksum in front."""
    payload = encode(record)
    return checksum(place, payload) + payload


def unseal(place: bytes, value: bytes, kind: type[T]) -> T:
    """Decode what `seal` made; StoreCorruptError names the record and what is wrong with it."""
    payload = value[CHECKSUM_BYTES:]
    name = printable(place.decode("utf-8", "backslashreplace"))
    if checksum(place, payload) != value[:CHECKSUM_BYTES]:
        raise StoreCorruptError(f"record {name} fails its checksum: {len(value)} bytes were read")
    try:
        return _decoder(kind).decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreCorruptError(f"record {name} cannot be read: {error}") from error


def _decoder(kind: type[T]) -> msgspec.msgpack.Decoder[T]:
    decoder = _DECODERS.get(kind)
    if decoder is None:
        decoder = _DECODERS[kind] = msgspec.msgpack.Decoder(kind)
    return decoder  # type: ignore[return-value]
