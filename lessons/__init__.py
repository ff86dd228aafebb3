"""The course: fourteen lessons from one number to a language model, supplements, and pictures from words.

``python -m lessons`` lists them, ``python -m lessons 4`` runs Lesson 4. A lesson is one file in percent format: prose
in cells that start with ``# %% [markdown]``, code in cells that start with ``# %%`` (:mod:`lessons.cells`).
"""
