"""What `import jaxrl` costs beside `import jax, flax.linen, optax`, in fresh processes, interleaved.

    python benchmarks/import_time.py [repetitions]

Prints the least time of each (whatever else runs on the machine can only add to it) and their ratio; the status is 1
where the ratio is 1.3 or more.
"""

import subprocess
import sys
import time

STATEMENTS = ("import jax, flax.linen, optax", "import jaxrl")


def seconds(statement: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - began


def main() -> int:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    for statement in STATEMENTS:
        seconds(statement)  # the first one compiles to bytecode and fills the disk cache
    times = [[seconds(statement) for statement in STATEMENTS] for _ in range(repetitions)]
    base, ours = (min(column) for column in zip(*times, strict=True))
    print(f"{STATEMENTS[0]:<32} {base:.3f} s")
    print(f"{STATEMENTS[1]:<32} {ours:.3f} s")
    print(f"ratio {ours / base:.2f}")
    return int(ours / base >= 1.3)


if __name__ == "__main__":
    sys.exit(main())
