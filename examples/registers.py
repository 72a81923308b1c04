# SPDX-License-Identifier: MIT
"""Read and write registers with accesses of an exact width. Runs without hardware.

    python registers.py [DEVICE]
"""

import sys

import vfiocore

with vfiocore.open(sys.argv[1] if len(sys.argv) > 1 else "fake:e1000e") as device:
    print(device)
    for capability in device.config.capabilities():
        print(f"  {capability.offset:#05x} {capability.name}")
    bar = device.bar(0)
    print(f"CTRL   {bar.read32(0x00):#010x}")
    print(f"STATUS {bar.read32(0x08):#010x}")
    try:
        bar.read32(0x02)
    except vfiocore.VfioError as error:
        print(f"as it should, this fails: {error}")
