# The control plane, and what docker-compose needs beside it: iptables for the capture of traffic, and the
# libraries of the shop's programs (they are Mizzen's own).
FROM python:3.11-slim-bookworm

RUN command -v iptables >/dev/null \
    || (apt-get update && apt-get install --yes --no-install-recommends iptables && rm -rf /var/lib/apt/lists/*)

WORKDIR /src
# The libraries first: they change seldom, so this layer is made seldom.
COPY pyproject.toml ./
RUN python3 -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' \
        > requirements.txt \
    && python3 -m pip install --no-cache-dir --root-user-action=ignore --requirement requirements.txt
COPY README.md LICENSE ./
COPY mizzen mizzen
COPY examples examples
RUN python3 -m pip install --no-cache-dir --root-user-action=ignore --no-deps .

WORKDIR /
RUN useradd --system --uid 15010 --no-create-home mizzen
USER mizzen
EXPOSE 15010 15012 15014
ENTRYPOINT ["mizzen"]
CMD ["--help"]
