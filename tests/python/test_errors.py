# SPDX-License-Identifier: MIT
"""Errors: classes, attributes, text."""

from __future__ import annotations

import errno
import pickle

import pytest

import vfiocore
from vfiocore import errors
from vfiocore._native import call


def test_every_reason_but_none_has_a_class() -> None:
    assert set(errors.BY_REASON) == set(errors.Reason) - {errors.Reason.NONE}
    assert len(set(errors.BY_REASON.values())) == len(errors.BY_REASON)


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (errors.InvalidArgument, ValueError),
        (errors.Misaligned, errors.InvalidArgument),
        (errors.OutOfRange, IndexError),
        (errors.PermissionDenied, PermissionError),
        (errors.WaitTimeout, TimeoutError),
        (errors.ClosedError, ValueError),
    ],
)
def test_python_names_of_the_same_thing(kind: type[Exception], base: type[Exception]) -> None:
    assert issubclass(kind, base)
    assert issubclass(kind, errors.VfioError)


def test_record(device: vfiocore.Device) -> None:
    with pytest.raises(vfiocore.BadMemory) as caught:
        device.iommu.map_address(0x1000, 4096, iova=0x40000)
    error = caught.value
    assert (error.errno, error.strerror) == (errno.EFAULT, "Bad address")
    assert error.reason is errors.Reason.BAD_MEMORY
    assert error.operation == "vfc_iommu_map"
    assert error.call == "VFIO_IOMMU_MAP_DMA"
    assert (error.iova, error.length) == (0x40000, 4096)
    assert "not mapped in this process" in error.hint
    assert error.hint in str(error)
    assert "\n" not in str(error)


def test_pickle_keeps_the_record() -> None:
    error = errors.IovaError(
        errno.EEXIST, "the text", reason=errors.Reason.IOVA, iova=4096, hint="a hint"
    )
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is errors.IovaError
    assert str(copy) == "the text"
    assert (copy.errno, copy.iova, copy.hint) == (errno.EEXIST, 4096, "a hint")


def test_without_a_record() -> None:
    error = call.error(-errno.EXDEV)
    assert (error.errno, str(error)) == (errno.EXDEV, "EXDEV")


@pytest.mark.parametrize("value", [-1, 256])
def test_numbers_that_ctypes_would_cut_off(value: int) -> None:
    with pytest.raises(ValueError, match="does not fit in 8 bits"):
        call.unsigned(value, 8, "it")


def test_no_model() -> None:
    with pytest.raises(vfiocore.NoDevice, match="fake:e1000e"):
        vfiocore.open("fake:nothing")


def test_no_transport() -> None:
    with pytest.raises(vfiocore.InvalidArgument, match=r"there are cdev, .* and noiommu-group"):
        vfiocore.Iommu("carrier pigeon")
