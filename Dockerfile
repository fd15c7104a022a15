# matt predict on a folder of music that is mounted read-only, as an ordinary user:
#
#   docker build -t matt .
#   docker run --rm --network none -v ~/Music:/music:ro -v matt-cache:/cache matt predict /music
#
# With --watch behind it, it goes on and answers again whenever the music has changed.
FROM python:3.12-slim AS build
WORKDIR /source
COPY . .
RUN pip install --no-cache-dir build && python -m build --wheel --outdir /wheels

FROM python:3.12-slim
COPY --from=build /wheels/*.whl /tmp/
RUN pip install --no-cache-dir /tmp/*.whl \
    && rm /tmp/*.whl \
    && useradd --create-home --uid 1000 matt \
    && mkdir /cache && chown matt /cache
USER matt
ENV MATT_CACHE=/cache
VOLUME /cache
WORKDIR /cache
ENTRYPOINT ["matt"]
CMD ["--help"]
