"""The two kinds of network that a seed of a recipe trains, each with its own streams of randomness.

With a section `pretraining`, either is trained twice: on those clips as by a recipe of its own (`first_student`,
`first_teacher`), then on the recipe's clips, beginning with what the first knows of movement (`begin`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from inkling.models.networks import Student, Teacher
from inkling.training.data.corpus import Corpus
from inkling.training.data.folds import Fold, draw_fold
from inkling.training.data.loader import Augment, Drawing, Joining, Windows
from inkling.training.distill.ensemble import Ensemble, averaged, with_pseudo_labels
from inkling.training.distill.label_propagation import neighbours_answers
from inkling.training.distill.learner import StudentLearner, TeacherLearner
from inkling.training.networks.build import Network, build_student, build_teacher, with_published
from inkling.training.recipe.recipe import Recipe
from inkling.training.seeds import mixed_seed

TEACHER, STUDENT = 1, 2  # streams of randomness


def first_student(recipe: Recipe, corpus: Corpus, seed: int) -> StudentLearner | None:
    """The student about to learn what the recipe has before its own clips; None where that is nothing."""
    first, clips = recipe.first, corpus.pretraining
    if first is None or clips is None:
        return None
    return student_learner(first, clips, draw_fold(clips, first, seed), seed, None)


def first_teacher(recipe: Recipe, corpus: Corpus, seed: int, member: int = 0) -> TeacherLearner | None:
    """As `first_student`, for one of the teachers."""
    first, clips = recipe.first, corpus.pretraining
    if first is None or clips is None:
        return None
    return teacher_learner(first, clips, draw_fold(clips, first, seed), seed, member)


def teacher_learner(
    recipe: Recipe, corpus: Corpus, fold: Fold, seed: int, member: int = 0, begin: Teacher | None = None
) -> TeacherLearner:
    """A teacher about to be trained. member: which of the recipe's `distillation.teachers`, counted from 0.

    begin: a teacher of other clips whose layers and recurrence it begins with.
    """
    which = (member,) if member else ()  # the only teacher of a recipe draws what it always drew
    torch.manual_seed(mixed_seed(seed, TEACHER, *which))
    network = with_published(build_teacher(recipe, corpus.input, len(corpus.labels)), recipe)
    network = _begun(network, begin)
    drawing = Drawing(_augment(recipe, corpus), _joining(recipe), mixed_seed(seed, TEACHER, 1, *which))
    return TeacherLearner(network, fold, recipe.fit_teacher or recipe.fit, drawing, recipe.validation.select)


def student_learner(
    recipe: Recipe, corpus: Corpus, fold: Fold, seed: int, teacher: Ensemble | None, begin: Student | None = None
) -> StudentLearner:
    """A student about to be trained. teacher: trained, where the recipe asks for one. begin: as of a teacher."""
    wish, augment = recipe.distillation, _augment(recipe, corpus)
    torch.manual_seed(mixed_seed(seed, STUDENT))
    network = with_published(build_student(recipe, corpus.input, len(corpus.labels)), recipe)
    network = _begun(network, begin)
    if teacher is not None and recipe.frames is not None:  # where learning to see is most of the work, it goes on
        network.extractor.load_state_dict(teacher.extractor.state_dict())
    answers: Tensor | None = None
    if wish.target == "neighbours" and (wish.alpha > 0 or wish.pseudo_labels):
        answers = neighbours_answers(network.extractor, fold.train, corpus.skeleton, len(corpus.labels))
    elif teacher is not None and (wish.target == "clip" or wish.pseudo_labels):
        random = torch.Generator().manual_seed(mixed_seed(seed, STUDENT, 2))
        answers = averaged(teacher.eval(), fold.train, augment, wish.views, random)
    if answers is not None and wish.pseudo_labels:
        fold = replace(fold, train=with_pseudo_labels(answers, fold.train))
    if answers is not None and wish.target != "step":
        fold = replace(fold, train=tuple(replace(e, answer=i) for i, e in enumerate(fold.train)))
    by_step = teacher if wish.target == "step" and wish.alpha > 0 else None
    return StudentLearner(
        network,
        fold,
        recipe.fit,
        Drawing(augment, _joining(recipe), mixed_seed(seed, STUDENT, 1)),
        recipe.validation.select,
        teacher=by_step,
        distillation=wish,
        lead=recipe.lead,
        answers=answers if wish.target != "step" and wish.alpha > 0 else None,
    )


def _begun(network: Network, begin: Network | None) -> Network:
    """A fresh network with the layers and the recurrence of another one; what answers, of other labels, stays fresh."""
    if begin is not None:
        network.layers.load_state_dict(begin.layers.state_dict())
        network.recurrence.load_state_dict(begin.recurrence.state_dict())
    return network


def _augment(recipe: Recipe, corpus: Corpus) -> Augment:
    def augment(clips: Sequence[Tensor], random: torch.Generator) -> Sequence[Tensor]:
        if recipe.frames is None:
            return recipe.augmentation(clips, corpus.skeleton, random)
        # features stay as they are
        return [recipe.pixels(clip, random) if clip.dtype == torch.uint8 else clip for clip in clips]

    return augment


def _joining(recipe: Recipe) -> Joining | Windows:
    """How training clips are drawn: poses follow each other, recordings of frames are cut into windows."""
    rate_hz = recipe.rate_hz
    if recipe.frames is not None:
        return Windows(recipe.windows.steps(rate_hz), recipe.windows.speed)
    streaming = recipe.streaming
    longest, passage = max(1, round(streaming.longest_s * rate_hz)), round(streaming.passage_s * rate_hz)
    return Joining(streaming.chance, longest, passage)
