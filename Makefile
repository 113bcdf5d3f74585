# make run    index the photos and serve the web app     make run PHOTOS=/my/photos PORT=5002
#             make run HOST=0.0.0.0 lets others in; that needs APP_PASSWORD (docs/configuration.md)
# make index  index only       make serve  serve only
# make test   all tests but those of clusters, in three processes, each with a real Elasticsearch node of its own
# make test-cluster  the tests on Spark, HDFS and three Elasticsearch nodes; they need Java 17 or newer
# make faults the tests that kill, cut off and fill up, ten times in a row (TIMES=10)
# make sbom   writes sbom.json: all packages and jars that the app consists of, as CycloneDX
# make translations  brings the texts of app/translations up to date, says what is to be translated, and compiles them
# The Python to build .venv with is found by itself; name another with PYTHON=python3.12.

PORT ?= 5001
# Not from the environment: some systems export the machine's own name as HOST, which would let the network in.
HOST := 127.0.0.1
VENV := .venv
CATALOGUES := $(patsubst %.po,%.mo,$(wildcard app/translations/*/LC_MESSAGES/messages.po))
PY := $(VENV)/bin/python

ifdef PHOTOS
export IMAGE_DIR := $(PHOTOS)
endif

.PHONY: run index serve test test-cluster faults cluster-faults translations lint types check install install-dev constraints sbom clean
.DEFAULT_GOAL := run

run: export INDEX_FIRST := yes
serve: export INDEX_FIRST := no
run serve: install
	@$(PY) -I image_embeddings/serving/port_check.py "$(HOST)" "$(PORT)"
	@[ "$(HOST)" = 127.0.0.1 ] || $(PY) -m image_embeddings serve --check --host "$(HOST)" --port "$(PORT)"
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" exec sh tools/serve.sh \
		gunicorn --config app/gunicorn.conf.py --bind "$(HOST):$(PORT)" 'app:create_app()'

index: install
	@$(PY) -m image_embeddings index

# More processes than two cores: tests of faults and of browsers often wait.
test: install-dev
	$(PY) -m pytest -n 3 --dist loadfile --no-loadscope-reorder --ignore tests/cluster

test-cluster: install-dev
	$(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder tests/cluster

TIMES ?= 10
faults: install-dev
	@for number in $$(seq $(TIMES)); do \
		echo "Run $$number of $(TIMES)"; \
		$(PY) -m pytest -q $(patsubst %,tests/server/test_%_faults.py,pipeline connection node disk) || exit 1; \
	done

cluster-faults: install-dev
	@for number in $$(seq $(TIMES)); do \
		echo "Run $$number of $(TIMES)"; \
		$(PY) -m pytest -q $(patsubst %,tests/cluster/test_%.py,spark_job three_nodes hdfs_run) || exit 1; \
	done

translations: install
	$(PY) tools/translations.py $(LANGUAGES)
	$(VENV)/bin/pybabel -q compile -d app/translations

lint: install-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: install-dev
	$(VENV)/bin/mypy

check: lint types test test-cluster

install: $(VENV)/.installed $(CATALOGUES)
install-dev: $(VENV)/.installed-dev $(CATALOGUES)

%.mo: %.po | $(VENV)/.installed
	$(VENV)/bin/pybabel -q compile -i $< -o $@ -l $(notdir $(patsubst %/LC_MESSAGES/messages.po,%,$<))

$(VENV)/.installed: requirements.txt constraints.txt tools/install.sh
	@PYTHON="$(PYTHON)" sh tools/install.sh requirements.txt
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed $(wildcard requirements-*.txt)
	@PYTHON="$(PYTHON)" sh tools/install.sh requirements-dev.txt
	@touch $@

# Rewrites constraints.txt with today's newest versions that fit, and the lock files of the Docker image.
constraints: install
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" sh tools/constraints.sh
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" sh tools/lock.sh

sbom: install
	$(PY) tools/sbom.py sbom.json

clean:
	-@[ -x $(PY) ] && $(PY) -m image_embeddings node stop
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
