# Two commands for a new user, each does its own set-up: `make demo` and `make test`.
#   make demo                      two cameras of a sample clip, daemon, broker, listener and gallery, all on this machine
#   make demo PRECISION=int8       the same with the INT8 engine
#   make demo SOURCE=rtsp://...    the same on your camera: a file, rtsp://, v4l2:///dev/video0 or csi://0
#   make setup                     training, export and the tests' tools into .venv, and nothing else
#   make test                      everything that can be tested without a GPU
#   make deb                       a Debian package of the daemon for this machine's kind, build/reid-edge.deb
#   make lint                      formatter, linter, types and the import rule (part of `make test`)
#   make audit                     known weaknesses, licences and a bill of materials of what is installed
#   make bench                     latency beside named peers, the page that compares engines, the README's tables

PYTHON ?= python3
PRECISION ?= fp32
DURATION ?= 40
# Many tests wait for a broker, a camera or a process, so two of them share a core.
WORKERS ?= $(shell echo $$((2 * $$(nproc))))
VENV := .venv
BIN := $(VENV)/bin
CLIP := .cache/opencv-doc/usr/share/doc/opencv-doc/examples/data/vtest.avi
SOURCE ?= $(CLIP)

RUNTIME_PACKAGES := python3-venv python3-dev gcc pkg-config libgirepository1.0-dev libcairo2-dev mosquitto \
	gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-libav \
	gir1.2-gstreamer-1.0 gir1.2-gst-plugins-base-1.0
TEST_PACKAGES := gstreamer1.0-plugins-ugly gir1.2-gst-rtsp-server-1.0 mosquitto-clients git

.PHONY: demo setup test lint bench deb audit clean

demo: $(VENV)/runtime.done $(if $(filter $(CLIP),$(SOURCE)),$(CLIP))
	@$(BIN)/python edge_runtime/demo/run_demo.py --source "$(SOURCE)" --precision $(PRECISION) --seconds $(DURATION)

setup: $(VENV)/test.done

test: lint $(CLIP)
	@$(BIN)/python -m pytest --no-skips --durations=15 --numprocesses=$(WORKERS) --dist=loadfile

lint: $(VENV)/test.done
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# About a quarter of an hour on two quiet cores. DATA=folder of CUHK03 scores the engines anew too; ENGINES=other ones of one network.
ENGINES ?= edge_runtime/models/osnet_x0_25.onnx edge_runtime/models/osnet_x0_25_int8.onnx
bench: $(VENV)/test.done
	@$(BIN)/python benchmarks/latency.py $(ENGINES)
	@$(BIN)/python benchmarks/latency.py --grid --rounds 15 --alone-s 0.2
	@$(BIN)/python benchmarks/chain.py $(ENGINES)
	@$(BIN)/python benchmarks/preprocessing.py
	@$(if $(DATA),$(BIN)/python benchmarks/accuracy.py $(ENGINES) --data $(DATA))
	@$(BIN)/python benchmarks/pareto.py
	@$(BIN)/python benchmarks/readme_tables.py

# Known weaknesses, licences and a bill of materials of what is installed, by tools in an environment of their own.
PERMISSIVE := Apache;BSD;MIT;PSF;Python Software Foundation;ISC;CC0;0BSD;Zlib;BSL;Unlicense;HPND
audit: $(VENV)/test.done
	@test -x .cache/audit/bin/pip-audit || { $(PYTHON) -m venv .cache/audit && \
		.cache/audit/bin/python -m pip install -q --disable-pip-version-check pip-audit pip-licenses cyclonedx-bom; }
	@mkdir -p build
	@.cache/audit/bin/cyclonedx-py environment $(BIN)/python --output-file build/sbom.json && echo "bill of materials: build/sbom.json"
	@.cache/audit/bin/pip-licenses --python $(BIN)/python --from=mixed --partial-match --allow-only="$(PERMISSIVE);LGPL;MPL;Lesser" >build/licences.txt \
		&& echo "licences: build/licences.txt, none but permissive ones, LGPL and MPL"
	@.cache/audit/bin/pip-audit --path $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') --strict --progress-spinner off \
		|| echo "pip-audit found something, or could not reach its databases: read above"

deb: $(VENV)/runtime.done
	@mkdir -p build
	@sh edge_runtime/install/build_deb.sh $(BIN)/python . build/reid-edge.deb
	@echo "build/reid-edge.deb; install it with: apt-get install ./build/reid-edge.deb"

clean:
	rm -rf $(VENV) .cache build *.egg-info

# Installs what is missing and says so first; asks for sudo only when it is needed.
define install_packages
	@missing=$$(for p in $(1); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
		if [ "$$(id -u)" = 0 ]; then as_root=; else as_root=sudo; fi; \
		echo "Installing system packages with '$${as_root:+sudo }apt-get install':" $$missing; \
		$$as_root apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive $$as_root apt-get install -qq -y --no-install-recommends $$missing >/dev/null; \
	fi
endef

$(VENV)/runtime.done: pyproject.toml Makefile
	$(call install_packages,$(RUNTIME_PACKAGES))
	@echo "Setting up $(VENV) (Python packages, without torch)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install -q --disable-pip-version-check -e '.[runtime,cpu,gstreamer,gallery]'
	@touch $@

$(VENV)/test.done: $(VENV)/runtime.done pyproject.toml tests/constraints.txt
	$(call install_packages,$(TEST_PACKAGES))
	@echo "Adding torch and the tools of the tests to $(VENV)"
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install -q --disable-pip-version-check -c tests/constraints.txt \
		-e '.[runtime,cpu,openvino,gstreamer,export,train,dev]'
	@touch $@

# OpenCV's sample of pedestrians, out of the distribution's own package; nothing is installed.
$(CLIP):
	@echo "Fetching the sample clip from the package opencv-doc"
	@mkdir -p .cache/opencv-doc
	@cd .cache && { apt-get download -qq opencv-doc 2>/dev/null || \
		{ $$([ "$$(id -u)" = 0 ] || echo sudo) apt-get update -qq && apt-get download -qq opencv-doc; }; }
	@dpkg -x .cache/opencv-doc_*.deb .cache/opencv-doc
	@touch $@
