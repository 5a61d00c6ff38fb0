// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosapi

import (
	"context"
	"errors"
	"fmt"

	"github.com/siderolabs/grpc-proxy/proxy"
	"github.com/siderolabs/talos/pkg/machinery/api/common"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// messagesField is where replies for several nodes keep the list of one message per node. Such messages of Talos all
// begin with the metadata, so that metadata alone is one of each kind, and lists written one after another are one list.
const messagesField = protowire.Number(1)

// backend is the machine that a call, or a part of it, is passed on to.
type backend struct {
	// node is the name that the client used, empty if it named none.
	node        string
	target      string
	connections *connections

	// err says why there is no such machine.
	err error
}

var _ proxy.Backend = (*backend)(nil)

// String implements proxy.Backend.
func (b *backend) String() string {
	return b.node
}

// GetConnection implements proxy.Backend. What the client says about its roles is replaced by what its certificate says.
func (b *backend) GetConnection(ctx context.Context, _ string) (context.Context, *grpc.ClientConn, error) {
	if b.err != nil {
		return ctx, nil, b.err
	}

	md, _ := metadata.FromIncomingContext(ctx)
	md = md.Copy()

	for _, key := range []string{":authority", nodeKey, nodesKey, constants.APIAuthzRoleMetadataKey} {
		md.Delete(key)
	}

	md.Append(constants.APIAuthzRoleMetadataKey, certificateRoles(ctx).Strings()...)

	connection, err := b.connections.to(b.target)

	return metadata.NewOutgoingContext(ctx, md), connection, err
}

// AppendInfo implements proxy.Backend: it puts the node's name into every message of a reply.
func (b *backend) AppendInfo(streaming bool, reply []byte) ([]byte, error) {
	origin, err := proto.Marshal(&common.Empty{Metadata: &common.Metadata{Hostname: b.node}})
	if err != nil {
		return nil, fmt.Errorf("failed to marshal the origin of a reply of %q: %w", b.node, err)
	}

	if streaming {
		return append(reply, origin...), nil
	}

	var named []byte

	for len(reply) > 0 {
		field, kind, length := protowire.ConsumeTag(reply)
		if err = protowire.ParseError(length); err != nil {
			return nil, fmt.Errorf("failed to parse a reply of %q: %w", b.node, err)
		}

		if field != messagesField || kind != protowire.BytesType {
			return nil, fmt.Errorf("failed to parse a reply of %q: %w", b.node, errors.New("it is no list of messages"))
		}

		message, bodyLength := protowire.ConsumeBytes(reply[length:])
		if err = protowire.ParseError(bodyLength); err != nil {
			return nil, fmt.Errorf("failed to parse a reply of %q: %w", b.node, err)
		}

		named = protowire.AppendTag(named, messagesField, protowire.BytesType)
		named = protowire.AppendVarint(named, uint64(len(message)+len(origin)))
		named = append(append(named, message...), origin...)
		reply = reply[length+bodyLength:]
	}

	return named, nil
}

// BuildError implements proxy.Backend: it makes a message of an error, so that one node's does not hide the others'
// replies.
func (b *backend) BuildError(streaming bool, err error) ([]byte, error) {
	message := &common.Empty{Metadata: &common.Metadata{
		Hostname: b.node,
		Error:    err.Error(),
		Status:   status.Convert(err).Proto(),
	}}

	if streaming {
		return proto.Marshal(message)
	}

	return proto.Marshal(&common.EmptyResponse{Messages: []*common.Empty{message}})
}
