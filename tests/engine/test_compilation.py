import jax
import jax.numpy as jnp
import pytest

from jaxrl.engine import compilation
from jaxrl.engine.compilation import CACHE_DIR, cache_directory, compile_ahead, disk_cache


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A process whose user has set no cache of JAX's own, and that has compiled nothing yet."""
    jax.clear_caches()
    monkeypatch.setenv("JAXRL_CACHE", str(tmp_path / "cache"))
    before = getattr(jax.config, CACHE_DIR)
    jax.config.update(CACHE_DIR, None)
    jax.experimental.compilation_cache.compilation_cache.reset_cache()
    yield tmp_path / "cache"
    jax.config.update(CACHE_DIR, before)


@pytest.fixture
def hits():
    events = []
    jax.monitoring.register_event_listener(lambda event, **_: events.append(event))
    yield lambda: events.count("/jax/compilation_cache/cache_hits")
    jax.monitoring.clear_event_listeners()


def function(x):
    return jnp.sin(x) + 1.25


def test_what_is_compiled_inside_is_found_again(cache, hits):
    x = jnp.ones(3)
    with disk_cache():
        compiled, seconds = compile_ahead(function, x)
    assert seconds > 0
    assert any("jit_function" in path.name for path in cache.iterdir())
    jax.clear_caches()  # as a new process would begin
    with disk_cache():
        again, _ = compile_ahead(function, x)
    assert hits() == 1
    assert jnp.array_equal(again(x), compiled(x))


def test_nothing_changes_afterwards(cache):
    names = (CACHE_DIR, "jax_persistent_cache_min_compile_time_secs", "jax_persistent_cache_min_entry_size_bytes")
    before = [getattr(jax.config, name) for name in names]
    with pytest.raises(ZeroDivisionError), disk_cache():
        compile_ahead(lambda x: function(x) / (1 // 0), jnp.ones(4))
    assert [getattr(jax.config, name) for name in names] == before
    num_files = len(list(cache.iterdir()))
    assert num_files > 0
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    compile_ahead(function, jnp.ones(5))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", before[1])
    assert len(list(cache.iterdir())) == num_files


def test_the_users_own_cache_stays_in_charge(cache, tmp_path):
    jax.config.update(CACHE_DIR, str(tmp_path / "own"))
    with disk_cache():
        assert getattr(jax.config, CACHE_DIR) == str(tmp_path / "own")
    assert not cache.exists()


def test_without_a_place_to_write_there_is_no_cache(tmp_path, monkeypatch, cache):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("JAXRL_CACHE", str(tmp_path / "file" / "cache"))
    assert cache_directory() is None
    with disk_cache():
        assert getattr(jax.config, CACHE_DIR) is None
        compile_ahead(function, jnp.ones(6))


def test_the_place_is_the_home_unless_said_otherwise(tmp_path, monkeypatch):
    monkeypatch.delenv("JAXRL_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_directory() == tmp_path / ".cache" / "jaxrl"


def test_donated_arguments_are_used_up():
    compiled, _ = compile_ahead(lambda a, b: a + b, jnp.ones(3), jnp.ones(3), donate=(1,))
    kept, donated = jnp.ones(3), jnp.ones(3)
    compiled(kept, donated)
    assert donated.is_deleted()
    assert not kept.is_deleted()


def test_of_programs_compiled_together_each_has_its_own_result() -> None:
    (doubled, more), seconds = compilation.compile_together(
        compilation.Program(lambda x: 2 * x, (jnp.float32(1),)),
        compilation.Program(lambda x: x + 1, (jnp.float32(1),)),
    )
    assert (doubled(jnp.float32(3)), more(jnp.float32(3))) == (6.0, 4.0)
    assert seconds > 0


def test_a_cpu_has_options_unless_somebody_chose_others(monkeypatch: pytest.MonkeyPatch) -> None:
    level, width = "xla_backend_optimization_level", "xla_cpu_prefer_vector_width"
    given = []
    monkeypatch.setattr(compilation, "_compile", lambda _, options: given.append(dict(options)))
    monkeypatch.setenv("XLA_FLAGS", "")
    compile_ahead(lambda x: x, 1.0)
    with compilation.compiler_options({level: 0, "other": 1}):
        compile_ahead(lambda x: x, 1.0)
    monkeypatch.setenv("XLA_FLAGS", f"--{level}=3")
    compile_ahead(lambda x: x, 1.0)
    monkeypatch.delenv("XLA_FLAGS")
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    compile_ahead(lambda x: x, 1.0)
    assert given == [{level: 2, width: 512}, {level: 0, width: 512, "other": 1}, {width: 512}, {}]
