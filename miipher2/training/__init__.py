"""Datasets, losses, Brains and checkpoints of the three training stages.

Authors
 * The miipher2 authors 2026
"""

import logging

# Hide SpeechBrain's warning that it cannot save figures without torchvision:
# training does not save figures with SpeechBrain
logging.getLogger("speechbrain.utils.train_logger").addFilter(
    lambda record: "torchvision" not in record.getMessage()
)
