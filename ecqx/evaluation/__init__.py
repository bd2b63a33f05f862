"""Explanations of a network and how much of them survives its compression.

``explainers`` computes attribution maps, ``consistency`` compares them with those of the
full-precision network, ``localisation`` compares them with ground-truth masks, ``complexity`` looks
at each alone, ``measures`` has all of these sample by sample, ``evaluate`` applies them to one
network, on the pairs that ``subset`` draws.
``agreement`` compares predictions, ``calibration`` confidence with accuracy, ``layers`` measures
the relevance of weights, ``randomisation`` checks that explainers depend on what the network has
learned, ``random_logit`` that they depend on the class, ``faithfulness`` that they point at what
the network decides by, ``meta_evaluation`` which metrics to trust.

Explainers and metrics register themselves through a decorator, with name, label, unit, direction
and source: in ``explainers.EXPLAINERS``, ``consistency.METRICS``, ``localisation.LOCALISATIONS``
and ``complexity.COMPLEXITIES``. Importing these four does not import torch.
"""
