# SPDX-License-Identifier: MIT
"""The C library seen from Python: found (loader), described (enums, structs, tables), and called.

Nothing outside of this package touches ctypes prototypes; nothing in here knows what a device is.
Importing the package loads nothing: the library is opened by the first call.
"""
