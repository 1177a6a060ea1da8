"""Options of export/build_engine.py for networks that were never trained."""

# Few patterns and a network that was never trained: scores jump, and are not what these tests are about.
ANY_LOSS = ("--rank1-points", "100", "--map-points", "100", "--mean-cosine", "-1", "--least-cosine", "-1")
ANY_SPEED = ("--allow-slower",)
NO_LOSS_IS_SMALL_ENOUGH = ("--rank1-points", "-101")
CPU = ("--backend", "onnxruntime")
