# syntax=docker/dockerfile:1

ARG GO_IMAGE=golang:1.26-bookworm
ARG BASE_IMAGE=gcr.io/distroless/static-debian12:nonroot

FROM ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
# Static against glibc, not musl: PostgreSQL's parser recurses, and musl's threads
# have a sixty-fourth of the stack. netgo and osusergo take libc's resolver out,
# which a static glibc could not load.
RUN CGO_ENABLED=1 go build -trimpath -buildvcs=false -tags netgo,osusergo \
      -ldflags "-s -w -X main.version=${VERSION} -linkmode external -extldflags '-static'" \
      -o /out/sallyport ./cmd/sallyport \
 && mkdir -p /out/var/lib/sallyport /out/run/sallyport

FROM ${BASE_IMAGE}
COPY --from=build /out/sallyport /usr/local/bin/sallyport
COPY --from=build --chown=65532:65532 /out/var/lib/sallyport /var/lib/sallyport
COPY --from=build --chown=65532:65532 /out/run/sallyport /run/sallyport
# By number, so that a kubelet can see that it is not root.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/sallyport"]
CMD ["serve", "--config", "/etc/sallyport/sallyport.yaml"]
