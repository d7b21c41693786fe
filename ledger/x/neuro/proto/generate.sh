#!/bin/sh
# Generates ../types/tx.pb.go from neuro/v1/tx.proto. Run in the folder ledger/:
# make ledger-proto
set -eu
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
GOBIN=$tools go install github.com/cosmos/gogoproto/protoc-gen-gocosmos@v1.7.2
sdk=$(go list -m -f '{{.Dir}}' github.com/cosmos/cosmos-sdk)
gogo=$(go list -m -f '{{.Dir}}' github.com/cosmos/gogoproto)
PATH=$tools:$PATH protoc -I x/neuro/proto -I "$sdk/proto" -I "$gogo" -I "$gogo/protobuf" \
  --gocosmos_out=plugins=grpc:"$tools" x/neuro/proto/neuro/v1/tx.proto
cp "$tools/github.com/moeswarm/moeswarm/ledger/x/neuro/types/tx.pb.go" x/neuro/types/
