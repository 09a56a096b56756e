"""A chain of words. `stream` is a generator: whatever it yields is on its way to the caller at once."""

import random
import time

import postern

TALE = """
Once upon a time there was a king who had a garden, and in the garden there was a tree, and on the tree there were
apples of gold. Every night one of the apples was gone, and the king told his son to watch the tree. The son sat under
the tree, and in the night there was a bird, and the bird had feathers of gold. The son told the king of the bird, and
the king told his son to find the bird. The son went into the wood, and in the wood there was a fox who told the son
where the bird was, and the bird was in a house of wood, and the house was in the garden of another king.
"""
MAX_WORDS = 1_000


class Model(postern.Model):
    def setup(self):
        self.words = TALE.split()
        self.after = {}
        for word, following in zip(self.words, self.words[1:]):
            self.after.setdefault(word.strip(".,").lower(), []).append(following)

    def stream(self, item):
        count = item.parameters.get("words", 40)
        pause_s = item.parameters.get("pause_s", 0)
        if not isinstance(count, int) or not 1 <= count <= MAX_WORDS:
            raise postern.InputError(f"words: expected a whole number from 1 to {MAX_WORDS}")
        choice = random.Random(item.parameters.get("seed", 0))
        word = (item.split() or ["once"])[-1]
        for number in range(count):
            word = choice.choice(self.after.get(word.strip(".,").lower(), self.words))
            postern.progress(number / count)
            yield f" {word}"
            time.sleep(pause_s)
