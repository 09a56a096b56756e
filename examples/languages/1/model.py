"""Tells three languages apart: logistic regression over pairs of letters, in PyTorch."""

import torch

import postern

LANGUAGES = ["de", "en", "fr"]
SENTENCES = [
    ("de", "Der schnelle braune Fuchs springt über den faulen Hund und schläft dann ein."),
    ("de", "Ich möchte heute Abend nicht kochen, weil wir noch Brot und Käse haben."),
    ("de", "Am Morgen gehen die Kinder zur Schule, und nachmittags spielen sie auf der Straße."),
    ("de", "Wie geht es dir? Mir geht es gut, danke, aber das Wetter ist schlecht."),
    ("en", "The quick brown fox jumps over the lazy dog and then falls asleep."),
    ("en", "I would rather not cook tonight because we still have some bread and cheese."),
    ("en", "In the morning the children walk to school, and later they play in the street."),
    ("en", "How are you? I am fine, thank you, but the weather is not what it should be."),
    ("fr", "Le renard brun saute par-dessus le chien paresseux et puis il s'endort."),
    ("fr", "Je ne veux pas faire la cuisine ce soir parce que nous avons encore du pain et du fromage."),
    ("fr", "Le matin les enfants vont à l'école, et l'après-midi ils jouent dans la rue."),
    ("fr", "Comment allez-vous? Je vais bien, merci, mais le temps est mauvais aujourd'hui."),
]
BUCKETS = 2_048


class Model(postern.Model):
    def setup(self):
        torch.manual_seed(0)
        features = torch.stack([pairs(text) for _, text in SENTENCES])
        labels = torch.tensor([LANGUAGES.index(language) for language, _ in SENTENCES])
        self.linear = torch.nn.Linear(BUCKETS, len(LANGUAGES))
        optimizer = torch.optim.Adam(self.linear.parameters(), lr=0.05)
        for _ in range(200):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(self.linear(features), labels).backward()
            optimizer.step()

    @torch.inference_mode()
    def predict(self, batch):
        scores = torch.softmax(self.linear(torch.stack([pairs(text) for text in batch])), dim=1)
        return [{"language": LANGUAGES[int(row.argmax())], "scores": dict(zip(LANGUAGES, row.tolist()))} for row in scores]


def pairs(text):
    """How often each pair of letters occurs, by a hash that is the same in every process."""
    vector = torch.zeros(BUCKETS)
    letters = f" {' '.join(text.lower().split())} "
    for left, right in zip(letters, letters[1:]):
        vector[(ord(left) * 31 + ord(right)) % BUCKETS] += 1
    return vector / max(1.0, float(vector.norm()))
