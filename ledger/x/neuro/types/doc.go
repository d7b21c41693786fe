// Package types is the protobuf messages of x/neuro. tx.pb.go is generated from
// proto/neuro/v1/tx.proto by "make ledger-proto", with protoc 3.21 and
// protoc-gen-gocosmos v1.7.2.
package types

import "google.golang.org/grpc"

// MsgServiceDesc describes the service of the messages.
func MsgServiceDesc() *grpc.ServiceDesc { return &_Msg_serviceDesc }
