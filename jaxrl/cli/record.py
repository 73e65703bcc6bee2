"""`jaxrl record RUN`: films of the policies of a run folder."""

from collections.abc import Sequence

from jaxrl.cli.arguments import runs_and_settings
from jaxrl.cli.errors import UsageError, as_usage_error
from jaxrl.engine.record import count
from jaxrl.engine.recording import MAX_STEPS
from jaxrl.engine.run_videos import Video, record_saved

HELP = """\
jaxrl record RUN [seed=best|median|NUMBER] [output=FOLDER] [steps=1000] [episode=0] [gymnasium=true|NAME]

Plays one greedy episode and writes it as a GIF and an MP4 (for which PyAV is needed: pip install "jaxrl[video]").
Without a seed, the best and the median one by the final evaluation. The files go to RUN/videos, where those of an
earlier recording are replaced.

  output=FOLDER    write there instead, where nothing is replaced
  steps=500        stop after so many steps, where the episode does not end before
  episode=1        another episode: the seed of all that is random in it
  gymnasium=true   play in Gymnasium's environment of the same name, or in that of the NAME, with its own pictures

  jaxrl record runs/ppo-CartPole-v1-20250101-120000
"""


def record(arguments: Sequence[str]) -> int:
    """Record the run that `arguments` name."""
    if {"-h", "--help"} & set(arguments):
        print(HELP, end="")
        return 0
    runs, settings = runs_and_settings(
        "record", arguments, ("seed", "setting", "output", "steps", "episode", "gymnasium")
    )
    folders = {run.folder for run in runs}
    if len(folders) > 1:
        raise UsageError(f"jaxrl record takes one run folder, got {len(folders)}.")
    run = runs[0]
    seed, gymnasium = settings.get("seed"), settings.get("gymnasium", "false")
    with as_usage_error():
        videos = record_saved(
            run.folder,
            ("best", "median") if seed is None else (int(seed) if seed.isdecimal() else seed,),
            output=settings.get("output"),
            episode=_number(settings, "episode", 0, 0),
            max_steps=_number(settings, "steps", MAX_STEPS, 1),
            setting=_number(settings, "setting", 0, 0) if "setting" in settings else None,
            gymnasium={"false": None, "true": run.environment}.get(gymnasium, gymnasium),
        )
    for video in videos:
        _show(video)
    missing = {video.missing for video in videos if video.missing}
    for sentence in missing:
        print(f"  no MP4     {sentence}")
    return 0


def _show(video: Video) -> None:
    episode = video.episode
    bounded = "" if episode.completed else ", not ended: see steps="
    print(
        f"  {video.name:<10} {video.agent}, return {episode.episode_return:.2f} in "
        f"{count(episode.length, 'step')}{bounded}"
    )
    for path, pictures in video.files.items():
        print(f"             {path}  ({count(pictures, 'frame')}, {max(1, round(path.stat().st_size / 1024)):,} kB)")


def _number(settings: dict[str, str], name: str, default: int, least: int) -> int:
    value = settings.get(name, str(default))
    if not value.isdecimal() or int(value) < least:
        raise UsageError(f"{name} must be a whole number of at least {least}, got '{value}'.")
    return int(value)
