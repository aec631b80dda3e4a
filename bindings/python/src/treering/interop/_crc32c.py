# SPDX-License-Identifier: Apache-2.0
# CRC-32C over bytes, in NumPy: the checksum of OCDBT's nodes and of Zarr's shard indexes.
#
# A table-driven CRC takes one step a byte, which Python does not like. The data are cut into equal
# lanes that step together, a byte of each at a time; a CRC is linear, so the lanes' results are then
# joined by an operator that stands for "as many zero bytes as a lane is long".
from __future__ import annotations

import functools
from typing import Any

import numpy as np

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, bits reversed
_LANE = 512


@functools.cache
def _table() -> Any:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1)
    return table.astype(np.uint32)


@functools.cache
def _lane_operator() -> list[list[int]]:
    """Four tables, one for each byte of a CRC: what a lane of zero bytes makes of it."""
    values = np.concatenate([np.arange(256, dtype=np.uint32) << (8 * byte) for byte in range(4)])
    table = _table()
    for _ in range(_LANE):
        values = (values >> 8) ^ table[values & 255]
    return [part.tolist() for part in np.split(values, 4)]


def crc32c(data: bytes | memoryview) -> int:
    """The CRC-32C of `data`.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    table = _table()
    lanes = len(data) // _LANE
    crc = 0xFFFFFFFF
    if lanes:
        columns = np.frombuffer(data, np.uint8, lanes * _LANE).reshape(lanes, _LANE).T.copy()
        running = np.zeros(lanes, np.uint32)
        for column in columns:
            running = (running >> 8) ^ table[(running ^ column) & 255]
        a, b, c, d = _lane_operator()
        for part in running.tolist():
            crc = a[crc & 255] ^ b[crc >> 8 & 255] ^ c[crc >> 16 & 255] ^ d[crc >> 24] ^ part
    steps = table.tolist()
    for byte in bytes(data[lanes * _LANE :]):
        crc = (crc >> 8) ^ steps[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF
