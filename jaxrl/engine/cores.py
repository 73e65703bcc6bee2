"""The cores of a CPU as devices of JAX's, so that agents spread over them as over several accelerators."""

import os

import jax


def use_all_cores() -> None:
    """Let JAX see a device for each core of the CPU that this process may use, unless the user has said how many.

    It must come before anything else has asked JAX for a device, as importing gymnax does; RuntimeError with one
    sentence where it comes too late. It does nothing where several processes train together: each has one device then,
    as collectives between processes want it on CPUs.
    """
    if jax.distributed.is_initialized():
        return
    if "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "") or "JAX_NUM_CPU_DEVICES" in os.environ:
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        jax.config.update("jax_num_cpu_devices", cores)
    except RuntimeError:  # the devices exist already
        if jax.default_backend() == "cpu" and jax.local_device_count() < cores:
            raise RuntimeError(
                "use_all_cores must come before anything asks JAX for a device, and JAX has "
                f"{jax.local_device_count()} already for {cores} cores; call it right after importing jaxrl, or set "
                f"JAX_NUM_CPU_DEVICES={cores} before Python starts."
            ) from None
