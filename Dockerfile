# The web app with everything it needs; how to use it: docs/docker.md
#   docker build -t image-search .
#   docker run --rm -p 127.0.0.1:5001:5001 -v image-search-data:/data -v image-search-models:/models image-search
FROM python:3.12.13-slim-trixie

LABEL org.opencontainers.image.title="image-search" \
      org.opencontainers.image.description="Search your own photos by text or by image, on Elasticsearch kNN" \
      org.opencontainers.image.licenses="Apache-2.0"

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1

WORKDIR /app

# Every wheel must have the SHA-256 that the lock files name, but for PyTorch's build for the CPU: its index is
# PyTorch's own, and is trusted by TLS alone. Empty (--build-arg TORCH_INDEX=) takes the default build of PyPI, which is
# checked too, and is several GB larger on x86-64. Wheels alone: the slim base has no compiler.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY requirements.lock requirements-torch.lock ./
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN if [ -n "$TORCH_INDEX" ]; then \
        grep -o '^torch==[^ ]*' requirements-torch.lock > torch.txt \
        && python -m pip install --no-cache-dir --no-deps --only-binary :all: --index-url "$TORCH_INDEX" -r torch.txt && rm torch.txt; \
    else \
        python -m pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes -r requirements-torch.lock; \
    fi \
    && python -m pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes -r requirements.lock

# The volumes take their owner from these folders when they are first made.
RUN useradd --no-log-init --uid 10001 --create-home --shell /usr/sbin/nologin app \
    && install -d -o app -g app -m 700 /data /models

# Own photos are mounted over the samples: -v "$HOME/Pictures:/photos:ro"
COPY app/static/images /photos
COPY LICENSE pyproject.toml ./
COPY tools/serve.sh tools/serve.sh
COPY image_embeddings image_embeddings
COPY app app
RUN pybabel -q compile -d app/translations

ENV HOME=/home/app \
    DATA_DIR=/data \
    IMAGE_DIR=/photos \
    IN_CONTAINER=yes \
    HF_HOME=/models

# A number, so that Kubernetes can see for itself that it is not root.
USER 10001:10001

# Fetches the jars of the embedded Elasticsearch into the image, and proves that the node starts in it.
RUN export DATA_DIR=/tmp/first-start ES_HEAP=512m \
    && python -m image_embeddings node start \
    && python -m image_embeddings node stop \
    && rm -rf /tmp/first-start

VOLUME ["/data", "/models"]
EXPOSE 5001

# Without the empty ProxyHandler a proxy set for containers (~/.docker/config.json) would be asked for 127.0.0.1.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10m --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:5001/healthz', timeout=4)"]

ENTRYPOINT ["sh", "/app/tools/serve.sh"]
# The workers' heartbeat files are kept in memory: on a disk, a slow write looks like a worker that hangs.
CMD ["gunicorn", "--config", "app/gunicorn.conf.py", "--worker-tmp-dir", "/dev/shm", "--bind", "0.0.0.0:5001", "app:create_app()"]
