"""Bronze to silver, daily states and profiles; `build` is the room's one door."""

from spark_jobs.build import BuildResult, build

__all__ = ["BuildResult", "build"]
