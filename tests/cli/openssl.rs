//! Stacks in OpenSSL's assembly, whose tables name frames by registers that calls may change.

use crate::python::{self, Program};
use crate::run::record;

/// As on a machine without AVX-512, where the helpers of AES-GCM are called.
const ENCRYPTS: &str = "
import ctypes, os
os.environ['OPENSSL_ia32cap'] = ':0'
crypto = ctypes.CDLL('libcrypto.so.3')
for name in 'EVP_CIPHER_CTX_new', 'EVP_aes_128_gcm': getattr(crypto, name).restype = ctypes.c_void_p
context, cipher = (ctypes.c_void_p(make()) for make in (crypto.EVP_CIPHER_CTX_new, crypto.EVP_aes_128_gcm))
assert crypto.EVP_EncryptInit_ex(context, cipher, None, b'k' * 16, b'n' * 12) == 1
text, written = b'x' * (1 << 20), ctypes.c_int()
room = ctypes.create_string_buffer(len(text))
def encrypt():
    assert crypto.EVP_EncryptUpdate(context, room, ctypes.byref(written), text, len(text)) == 1
print('ready', flush=True)
while True: encrypt()";

#[test]
fn the_way_out_of_aes_gcm_is_found() {
    let program = Program::start(&python::newest(), ENCRYPTS);
    let ended = record(&["-d", "1", "-r", "200", "-o", "o.txt", "-p", &program.pid_text()]);
    ended.assert_leads_through(&[";encrypt (<string>:", "EVP_EncryptUpdate"]);
}
