# SPDX-License-Identifier: MIT
"""Messages, as libFuzzer makes them: whatever the bytes are, there is an object or an exception, and what
can be sent again is received as the same.

    python fuzz_decode.py [option of libFuzzer...] [folder with inputs...]

With the package and the driver that clang has compiled; see `libfuzzer` in the Makefile. The first
folder gets the messages that fuzz_codec.py damages, each time, since there are addresses in them.
"""

import ctypes
import gc
import importlib.util
import os
import shlex
import sys
import traceback
from pathlib import Path

spec = importlib.util.find_spec("subinterpreters")
assert spec is not None and spec.origin is not None
driver = ctypes.CDLL(str(Path(spec.origin).with_name("decode_driver.so")))

sys.path.insert(0, str(Path(__file__).parents[1] / "python"))
import fuzz_codec

from subinterpreters import create_channel

clear_caches = getattr(sys, "_clear_internal_caches", None) or sys._clear_type_cache
CALL = ctypes.CFUNCTYPE(None)


class Drive(ctypes.Structure):
    _fields_ = (
        ("originals", ctypes.POINTER(ctypes.c_void_p)),
        ("count", ctypes.c_size_t),
        ("channel", ctypes.c_void_p),
        ("receive", CALL),
        ("collect", CALL),
    )


def write_inputs(folder: Path, samples: list[fuzz_codec.Sample]) -> None:
    for n, sample in enumerate(samples):
        (folder / f"sample{n}").write_bytes(bytes([n]) + sample.data)
        if sample.data.startswith(fuzz_codec.VIEW):
            changed = fuzz_codec.far_and_empty(sample.data)
            (folder / f"changed{n}").write_bytes(bytes([n]) + changed)


def main() -> None:
    sys.setrecursionlimit(300)
    memory = bytearray(fuzz_codec.OUTSIDE * 4096)
    recv, send = create_channel()
    channel = fuzz_codec.channel_lookup(recv.id)
    samples = []
    for obj in fuzz_codec.samples(memory):
        send.send(obj)
        samples.append(fuzz_codec.Sample(channel))

    @CALL
    def receive() -> None:
        try:
            fuzz_codec.receive(recv, send)
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
            os.abort()

    @CALL
    def collect() -> None:
        clear_caches()  # they keep names that have been looked up
        gc.collect()

    folders = [each for each in sys.argv[1:] if not each.startswith("-")]
    if folders and Path(folders[0]).is_dir():
        write_inputs(Path(folders[0]), samples)
    # libFuzzer runs itself again for some of its options: by a shell, with these words before them.
    command = shlex.join([sys.executable, "-P", __file__])
    arguments = [each.encode() for each in [command, *sys.argv[1:]]]
    argv = (ctypes.c_char_p * (len(arguments) + 1))(*arguments)
    originals = (ctypes.c_void_p * len(samples))(*(each.message.block for each in samples))
    drive = Drive(originals, len(samples), channel, receive, collect)
    sys.exit(driver.fuzz_drive(len(arguments), argv, ctypes.byref(drive)))


if __name__ == "__main__":
    main()
