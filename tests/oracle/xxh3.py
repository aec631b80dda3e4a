# SPDX-License-Identifier: Apache-2.0
# XXH3 in plain Python, for the independent reader.
"""XXH3 with seed 0 in plain Python, 64 and 128 bits, for the independent reader."""

M64 = (1 << 64) - 1
M32 = (1 << 32) - 1
P32 = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)
P64 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)
MX1, MX2 = 0x165667919E3779F9, 0x9FB21C651E98DF25
SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e")


def u32(b, at=0):
    return int.from_bytes(b[at:at + 4], "little")


def u64(b, at=0):
    return int.from_bytes(b[at:at + 8], "little")


def swap32(x):
    return int.from_bytes(x.to_bytes(4, "little"), "big")


def swap64(x):
    return int.from_bytes(x.to_bytes(8, "little"), "big")


def rotl32(x, r):
    return (x << r | x >> (32 - r)) & M32


def rotl64(x, r):
    return (x << r | x >> (64 - r)) & M64


def fold(a, b):
    product = a * b
    return (product & M64) ^ (product >> 64)


def avalanche64(h):
    h = ((h ^ h >> 33) * P64[1]) & M64
    h = ((h ^ h >> 29) * P64[2]) & M64
    return h ^ h >> 32


def avalanche(h):
    h = ((h ^ h >> 37) * MX1) & M64
    return h ^ h >> 32


def mix16(b, at, secret_at):
    return fold(u64(b, at) ^ u64(SECRET, secret_at), u64(b, at + 8) ^ u64(SECRET, secret_at + 8))


def short64(b):
    n = len(b)
    if n > 8:
        low = u64(b) ^ u64(SECRET, 24) ^ u64(SECRET, 32)
        high = u64(b, n - 8) ^ u64(SECRET, 40) ^ u64(SECRET, 48)
        return avalanche((n + swap64(low) + high + fold(low, high)) & M64)
    if n >= 4:
        x = (u32(b, n - 4) + (u32(b) << 32)) ^ u64(SECRET, 8) ^ u64(SECRET, 16)
        x ^= rotl64(x, 49) ^ rotl64(x, 24)
        x = (x * MX2) & M64
        x ^= (x >> 35) + n
        x = (x * MX2) & M64
        return x ^ x >> 28
    if n > 0:
        combined = b[0] << 16 | b[n >> 1] << 24 | b[n - 1] | n << 8
        return avalanche64(combined ^ u32(SECRET) ^ u32(SECRET, 4))
    return avalanche64(u64(SECRET, 56) ^ u64(SECRET, 64))


def middle64(b):
    n = len(b)
    h = n * P64[0]
    if n <= 128:
        for i in range((n - 1) // 32, -1, -1):
            h += mix16(b, 16 * i, 32 * i) + mix16(b, n - 16 * (i + 1), 32 * i + 16)
        return avalanche(h & M64)
    for i in range(8):
        h += mix16(b, 16 * i, 16 * i)
    h = avalanche(h & M64)
    for i in range(8, n // 16):
        h += mix16(b, 16 * i, 16 * (i - 8) + 3)
    return avalanche((h + mix16(b, n - 16, 136 - 17)) & M64)


def accumulate(acc, b, at, secret_at):
    for i in range(8):
        value = u64(b, at + 8 * i)
        key = value ^ u64(SECRET, secret_at + 8 * i)
        acc[i ^ 1] = (acc[i ^ 1] + value) & M64
        acc[i] = (acc[i] + (key & M32) * (key >> 32)) & M64


def long_accumulators(b):
    acc = [P32[2], P64[0], P64[1], P64[2], P64[3], P32[1], P64[4], P32[0]]
    stripes = (len(SECRET) - 64) // 8
    block = 64 * stripes
    blocks = (len(b) - 1) // block
    for n in range(blocks):
        for s in range(stripes):
            accumulate(acc, b, n * block + s * 64, s * 8)
        for i in range(8):
            acc[i] = ((acc[i] ^ acc[i] >> 47 ^ u64(SECRET, len(SECRET) - 64 + 8 * i)) * P32[0]) & M64
    for s in range((len(b) - 1 - blocks * block) // 64):
        accumulate(acc, b, blocks * block + s * 64, s * 8)
    accumulate(acc, b, len(b) - 64, len(SECRET) - 64 - 7)
    return acc


def merge(acc, secret_at, start):
    h = start
    for i in range(4):
        h += fold(acc[2 * i] ^ u64(SECRET, secret_at + 16 * i), acc[2 * i + 1] ^ u64(SECRET, secret_at + 16 * i + 8))
    return avalanche(h & M64)


def xxh3_64(b):
    n = len(b)
    if n <= 16:
        return short64(b)
    if n <= 240:
        return middle64(b)
    return merge(long_accumulators(b), 11, (n * P64[0]) & M64)


def short128(b):
    n = len(b)
    if n > 8:
        low, high = u64(b), u64(b, n - 8)
        flip_low, flip_high = u64(SECRET, 32) ^ u64(SECRET, 40), u64(SECRET, 48) ^ u64(SECRET, 56)
        m = (low ^ high ^ flip_low) * P64[0]
        m_low, m_high = (m + ((n - 1) << 54)) & M64, m >> 64
        high ^= flip_high
        m_high = (m_high + high + (high & M32) * (P32[1] - 1)) & M64
        m_low ^= swap64(m_high)
        h = m_low * P64[1]
        return avalanche(h & M64), avalanche(((h >> 64) + m_high * P64[1]) & M64)
    if n >= 4:
        x = (u32(b) + (u32(b, n - 4) << 32)) ^ u64(SECRET, 16) ^ u64(SECRET, 24)
        m = x * (P64[0] + (n << 2))
        low, high = m & M64, m >> 64 & M64
        high = (high + (low << 1)) & M64
        low ^= high >> 3
        low = ((low ^ low >> 35) * MX2) & M64
        return low ^ low >> 28, avalanche(high)
    if n > 0:
        low = b[0] << 16 | b[n >> 1] << 24 | b[n - 1] | n << 8
        high = rotl32(swap32(low), 13)
        return (avalanche64(low ^ u32(SECRET) ^ u32(SECRET, 4)), avalanche64(high ^ u32(SECRET, 8) ^ u32(SECRET, 12)))
    return (avalanche64(u64(SECRET, 64) ^ u64(SECRET, 72)), avalanche64(u64(SECRET, 80) ^ u64(SECRET, 88)))


def mix32(low, high, b, first, second, secret_at):
    low = ((low + mix16(b, first, secret_at)) & M64) ^ ((u64(b, second) + u64(b, second + 8)) & M64)
    high = ((high + mix16(b, second, secret_at + 16)) & M64) ^ ((u64(b, first) + u64(b, first + 8)) & M64)
    return low, high


def middle128(b):
    n = len(b)
    low, high = (n * P64[0]) & M64, 0
    if n <= 128:
        for i in range((n - 1) // 32, -1, -1):
            low, high = mix32(low, high, b, 16 * i, n - 16 * (i + 1), 32 * i)
    else:
        for i in range(4):
            low, high = mix32(low, high, b, 32 * i, 32 * i + 16, 32 * i)
        low, high = avalanche(low), avalanche(high)
        for i in range(4, n // 32):
            low, high = mix32(low, high, b, 32 * i, 32 * i + 16, 3 + 32 * (i - 4))
        low, high = mix32(low, high, b, n - 16, n - 32, 136 - 17 - 16)
    total = (low + high) & M64
    other = (low * P64[0] + high * P64[3] + n * P64[1]) & M64
    return avalanche(total), -avalanche(other) & M64


def xxh3_128(b):
    """(low 64 bits, high 64 bits)."""
    n = len(b)
    if n <= 16:
        return short128(b)
    if n <= 240:
        return middle128(b)
    acc = long_accumulators(b)
    return merge(acc, 11, (n * P64[0]) & M64), merge(acc, len(SECRET) - 64 - 11, ~(n * P64[1]) & M64)
