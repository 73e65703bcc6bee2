"""Every algorithm lowers for GPUs and TPUs, on a machine that has neither, to what they run well."""

import re
from functools import partial

import jax
import pytest
from conformance_table import ROWS, Row

import jaxrl

TRAIN = partial(jaxrl.train, num_reports=1)
# Orthogonal initialisers need a QR decomposition, for which both platforms have a routine.
ROUTINES = {"cusolver_geqrf_ffi", "cusolver_orgqr_ffi", "Qr", "ProductOfElementaryHouseholderReflectors"}


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in ROWS])
def test_training_lowers_for_cuda_and_tpu(row: Row) -> None:
    program = jax.jit(TRAIN)
    algorithm, key = row.build(), jax.random.key(0)
    types = set(re.findall(r":(\w+(?:<\w+>)?)\[", str(program.trace(algorithm, key).jaxpr)))
    assert types <= {"f32", "i32", "u32", "bool", "key<fry>"}, "TPUs emulate other types, or refuse them"
    exported = jax.export.export(program, platforms=("cuda", "tpu"))(algorithm, key)
    assert exported.platforms == ("cuda", "tpu")
    assert set(re.findall(r"custom_call @(\w+)", exported.mlir_module())) <= ROUTINES
    assert not exported.ordered_effects
    assert not exported.unordered_effects, "it calls the host"
