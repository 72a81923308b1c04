# SPDX-License-Identifier: MIT
"""Mirrors of the structs of vfiocore/ring.h and ring_layout.h, as structs.py has the others."""

from __future__ import annotations

from ctypes import Structure, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p

from .structs import Dma


class RingLayout(Structure):
    _fields_ = [
        ("done", c_uint64),
        ("report", c_uint64),
        ("errors", c_uint64),
        ("style", c_uint32),
        ("size", c_uint32),
        ("address", c_uint32),
        ("control", c_uint32),
        ("length_shift", c_uint32),
        ("length_bits", c_uint32),
        ("id_shift", c_uint32),
        ("reserved", c_uint32),
    ]


class Ring(Structure):
    _fields_ = [
        ("descriptors", c_void_p),
        ("available", c_void_p),
        ("completions", c_void_p),
        ("doorbell", c_void_p),
        ("consumed", c_void_p),
        ("cookies", c_void_p),
        ("ids", c_void_p),
        ("reports", c_void_p),
        ("held", c_uint64),
        ("entries", c_uint32),
        ("room", c_uint32),
        ("tail", c_uint32),
        ("head", c_uint32),
        ("used", c_uint32),
        ("pending", c_uint32),
        ("ready", c_uint32),
        ("unreported", c_uint32),
        ("first_report", c_uint32),
        ("report_count", c_uint32),
        ("index", c_uint16),
        ("seen", c_uint16),
        ("queue", c_uint16),
        ("event_index", c_uint8),
        ("phase", c_uint8),
        ("wrap", c_uint8),
        ("reserved", c_uint8 * 3),
        ("consumed_pending", c_uint32),
        ("doorbells", c_uint64),
        ("errors", c_uint64),
        ("malformed", c_uint64),
        ("memory", Dma),
    ]


class Buffer(Structure):
    _fields_ = [
        ("iova", c_uint64),
        ("command", c_uint64),
        ("length", c_uint32),
        ("cookie", c_uint32),
    ]


class Completion(Structure):
    _fields_ = [("control", c_uint64), ("cookie", c_uint32), ("length", c_uint32)]
