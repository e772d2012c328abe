"""Builds the wheel (PEP 517): the module, and libusercopy where there is one. Needs nothing but Python."""

import base64
import hashlib
import platform
import sysconfig
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_TARGET = "linux-" + {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
# Compiled on this machine; as npm's package brings it.
_PLACES = [ROOT.parent / folder / "libusercopy.so" for folder in ("build/Release", f"prebuilds/{_TARGET}")]
LIBRARY = next((path for path in _PLACES if path.exists()), None)
NAME, VERSION = "usercopy", "0.3.0"


def _hash(content):
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _contents():
    files = {f"{NAME}/{path.name}": path.read_bytes() for path in sorted((ROOT / NAME).glob("*")) if path.is_file()}
    if LIBRARY is not None:
        files[f"{NAME}/libusercopy.so"] = LIBRARY.read_bytes()
    return files


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    files = _contents()
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_") if LIBRARY is not None else "any"
    tag = f"py3-none-{platform}"
    info = f"{NAME}-{VERSION}.dist-info"
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\nRequires-Python: >=3.8\n".encode()
    purity = "true" if LIBRARY is None else "false"
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: {NAME}\nRoot-Is-Purelib: {purity}\nTag: {tag}\n".encode()
    record = f"{info}/RECORD"
    lines = [f"{name},{_hash(content)},{len(content)}" for name, content in files.items()] + [f"{record},,"]
    files[record] = ("\n".join(lines) + "\n").encode()
    wheel = f"{NAME}-{VERSION}-{tag}.whl"
    with zipfile.ZipFile(Path(wheel_directory) / wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return wheel
