"""Work of the wheels that compress, hash and encrypt.

Does: for each a function that prepares, and returns one round of work. Does not: say how often it is done (`targets/work.py`).
"""

import random

DATA = bytes(random.Random(1).choices(b"abcdefgh \n", weights=range(1, 11), k=1_000_000))


def zstandard(world):
    import zstandard

    def round_():
        packed = zstandard.ZstdCompressor(level=6).compress(DATA)
        assert zstandard.ZstdDecompressor().decompress(packed) == DATA
    return round_


def lz4(world):
    import lz4.frame

    def round_():
        assert lz4.frame.decompress(lz4.frame.compress(DATA, compression_level=6)) == DATA
    return round_


def xxhash(world):
    import xxhash

    def round_():
        for size in range(1_000):
            xxhash.xxh64(DATA[:size]).hexdigest()
        xxhash.xxh3_128(DATA).hexdigest()
        xxhash.xxh32(DATA).hexdigest()
    return round_


def google_crc32c(world):
    import google_crc32c

    def round_():
        checksum = google_crc32c.Checksum()
        for start in range(0, len(DATA), 50_000):
            checksum.update(DATA[start:start + 50_000])
        checksum.digest()
    return round_


def bcrypt(world):
    import bcrypt

    def round_():
        assert bcrypt.checkpw(b"secret", bcrypt.hashpw(b"secret", bcrypt.gensalt(6)))
    return round_


def cryptography(world):
    from cryptography.fernet import Fernet
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    box, curve, key = Fernet(Fernet.generate_key()), ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)

    def round_():
        assert box.decrypt(box.encrypt(DATA)) == DATA
        for _ in range(50):
            signature = curve.sign(DATA[:1_000], ec.ECDSA(hashes.SHA256()))
            curve.public_key().verify(signature, DATA[:1_000], ec.ECDSA(hashes.SHA256()))
        key.public_key().verify(key.sign(DATA[:1_000], pss, hashes.SHA256()), DATA[:1_000], pss, hashes.SHA256())
    return round_


def pycryptodome(world):
    from Crypto.Cipher import AES, ChaCha20_Poly1305
    from Crypto.Hash import SHA256
    from Crypto.PublicKey import ECC
    from Crypto.Signature import DSS
    key = ECC.generate(curve="P-256")

    def round_():
        AES.new(bytes(16), AES.MODE_GCM, nonce=bytes(12)).encrypt_and_digest(DATA)
        ChaCha20_Poly1305.new(key=bytes(32), nonce=bytes(12)).encrypt_and_digest(DATA)
        for _ in range(10):
            digest = SHA256.new(DATA[:1_000])
            DSS.new(key.public_key(), "fips-186-3").verify(digest, DSS.new(key, "fips-186-3").sign(digest))
    return round_


def pynacl(world):
    import nacl.public
    import nacl.pwhash
    import nacl.secret
    import nacl.signing
    box, signing = nacl.secret.SecretBox(bytes(32)), nacl.signing.SigningKey(bytes(range(32)))

    def round_():
        assert box.decrypt(box.encrypt(DATA)) == DATA
        for _ in range(100):
            signing.verify_key.verify(signing.sign(DATA[:1_000]))
        nacl.pwhash.argon2id.kdf(32, b"secret", bytes(16), opslimit=1, memlimit=8 << 20)
    return round_


def hf_xet(world):
    import hf_xet
    files = []
    for number in range(4):
        path = world.folder / f"blob{number}"
        path.write_bytes(DATA[number:] * 4)
        files.append(str(path))

    def round_():
        assert len(hf_xet.hash_files(files)) == 4
    return round_


def safetensors(world):
    import ctypes
    from safetensors import TensorSpec, deserialize, serialize
    data = ctypes.create_string_buffer(DATA[:100_000], 100_000)
    tensor = TensorSpec(dtype="float32", shape=[1_000, 25], data_ptr=ctypes.addressof(data), data_len=100_000)
    tensors = {f"layer.{number}": tensor for number in range(10)}

    def round_():
        assert len(deserialize(serialize(tensors))) == 10
    return round_
