# The control plane, and what docker-compose needs beside it: iptables for the capture of traffic, and the
# libraries of the shop's programs (they are Mizzen's own). Every package is of the version and has the hash that
# requirements/ names. The target `sidecar` is the same with an Envoy, which `mizzen agent` starts.
ARG ENVOY_IMAGE=envoyproxy/envoy:v1.40.0

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY requirements/build.txt requirements/
RUN python3 -m pip install --no-cache-dir --root-user-action=ignore --require-hashes --requirement requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY mizzen mizzen
COPY examples examples
RUN python3 -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

FROM python:3.11-slim-bookworm AS mizzen
RUN command -v iptables >/dev/null \
    || (apt-get update && apt-get install --yes --no-install-recommends iptables && rm -rf /var/lib/apt/lists/*)
# The libraries first: they change seldom, so this layer is made seldom.
COPY requirements/runtime.txt /requirements/
RUN python3 -m pip install --no-cache-dir --root-user-action=ignore --require-hashes --requirement /requirements/runtime.txt
COPY --from=build /wheels /wheels
RUN python3 -m pip install --no-cache-dir --root-user-action=ignore --no-deps /wheels/*.whl

RUN useradd --system --uid 15010 --no-create-home mizzen
USER mizzen

FROM ${ENVOY_IMAGE} AS envoy

FROM mizzen AS sidecar
COPY --from=envoy /usr/local/bin/envoy /usr/local/bin/envoy
ENTRYPOINT ["mizzen", "agent"]

FROM mizzen AS control-plane
EXPOSE 15010 15012 15013 15014
ENTRYPOINT ["mizzen"]
CMD ["--help"]
