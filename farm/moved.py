"""Modules that moved into rooms: old name -> the modules that have its contents now, for one release."""

from __future__ import annotations

MOVED = {
    "farm.attacks": ("farm.evaluation.attacks",),
    "farm.audit_report": ("farm.evaluation.audit_report",),
    "farm.checkpoint": ("farm.training.checkpoint",),
    "farm.codec": ("farm.models.codec",),
    "farm.data": ("farm.training.data", "farm.training.feed", "farm.training.curriculum"),
    "farm.evaluation_set": ("farm.evaluation.sets",),
    "farm.exchange": ("farm.import_", "farm.export"),
    "farm.hub": ("farm.models.hub", "farm.models.identity"),
    "farm.leaderboard_report": ("farm.evaluation.leaderboard_report",),
    "farm.loading": ("farm.models.loading",),
    "farm.loop": ("farm.training.loop", "farm.models.forward"),
    "farm.methods.method": ("farm.training.method", "farm.training.batches", "farm.models.tokens"),
    "farm.ops": ("farm.models.ops",),
    "farm.policies": ("farm.models.policy",),
    "farm.published": ("farm.evaluation.published",),
    "farm.rankings": ("farm.evaluation.rankings",),
    "farm.reading": ("farm.models.forward",),
    "farm.reference": ("farm.training.reference", "farm.models.identity"),
    "farm.reward_judge": ("farm.judging.reward_model",),
    "farm.rollout": ("farm.training.rollout", "farm.training.on_policy", "farm.training.rows"),
    "farm.sampler": ("farm.models.generation",),
    "farm.scorers": ("farm.models.scorer",),
    "farm.simulator": ("farm.serve_simulator",),
    "farm.studies.quickstart": ("farm.quickstart",),
}
