// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosapi

import (
	"context"
	"fmt"
	"strings"

	"github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/siderolabs/grpc-proxy/proxy"
	"github.com/siderolabs/talos/pkg/machinery/api/common"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// The metadata in which a client names the nodes that a call is meant for.
const (
	nodeKey  = "node"
	nodesKey = "nodes"
)

// router decides which machines a call goes to.
type router struct {
	local   string
	resolve func(node string) (target string, ok bool)
}

// direct implements proxy.StreamDirector.
func (r *router) direct(ctx context.Context, method string) (proxy.Mode, []proxy.Backend, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	node, nodes := md[nodeKey], md[nodesKey]
	_, known := rules[method]

	switch {
	case len(node) > 1:
		return proxy.One2One, nil, status.Error(codes.InvalidArgument, "node metadata must be single-valued")
	case len(node)+len(nodes) == 0:
		return proxy.One2One, []proxy.Backend{&backend{target: r.local}}, nil
	case len(nodes) > 0 && strings.HasPrefix(method, "/"+v1alpha1.State_ServiceDesc.ServiceName+"/"):
		return proxy.One2One, nil, status.Errorf(codes.InvalidArgument, "one-2-many proxying is not supported for method %s", method)
	case r.resolve == nil:
		return proxy.One2One, nil, status.Error(codes.PermissionDenied, "no request forwarding")
	case len(nodes) > 0 && !known:
		// No machine has it, so nothing needs to know how to join its replies.
		return proxy.One2One, nil, status.Errorf(codes.Unimplemented, "unknown method %s", method)
	case len(nodes) > 0:
		backends := make([]proxy.Backend, len(nodes))
		for i, name := range nodes {
			backends[i] = r.named(name)
		}

		return proxy.One2Many, backends, nil
	default:
		return proxy.One2One, []proxy.Backend{r.named(node[0])}, nil
	}
}

// named returns the backend of a node. If there is no such node, using the backend fails. The other nodes of the same
// call still answer.
func (r *router) named(node string) proxy.Backend {
	target, ok := r.resolve(node)
	if !ok {
		return &backend{node: node, err: status.Errorf(codes.Unavailable, "dns: A record lookup error: lookup %s: no such host", node)}
	}

	return &backend{node: node, target: target}
}

// backend is a machine that a call is passed on to.
type backend struct {
	// node is the name that the client used, empty if it named none.
	node   string
	target string

	// err says why there is no such machine.
	err error
}

var _ proxy.Backend = (*backend)(nil)

// String implements proxy.Backend.
func (b *backend) String() string { return b.node }

// GetConnection implements proxy.Backend. The roles of the call are those of the certificate, whatever the client claims.
//
// Every call has a connection of its own. On loopback that costs little, and a machine that was away is found as soon as
// it is back.
func (b *backend) GetConnection(ctx context.Context, _ string) (context.Context, *grpc.ClientConn, error) {
	if b.err != nil {
		return ctx, nil, b.err
	}

	connection, err := grpc.NewClient(b.target,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(constants.GRPCMaxMessageSize), grpc.ForceCodecV2(proxy.Codec())),
	)
	if err != nil {
		return ctx, nil, fmt.Errorf("failed to connect to %q: %w", b.target, err)
	}

	context.AfterFunc(ctx, func() { connection.Close() }) //nolint:errcheck // it fails only if it is closed already

	md, _ := metadata.FromIncomingContext(ctx)
	md = md.Copy()

	for _, key := range []string{":authority", nodeKey, nodesKey, constants.APIAuthzRoleMetadataKey} {
		md.Delete(key)
	}

	md.Append(constants.APIAuthzRoleMetadataKey, certificateRoles(ctx).Strings()...)

	return metadata.NewOutgoingContext(ctx, md), connection, nil
}

// AppendInfo implements proxy.Backend: it puts the node's name into every message of a reply.
//
// Every such message of Talos has the metadata as its first field. common.Empty has no other, and keeps the rest as it is.
func (b *backend) AppendInfo(_ bool, reply []byte) ([]byte, error) {
	var named common.EmptyResponse

	if err := proto.Unmarshal(reply, &named); err != nil {
		return nil, fmt.Errorf("failed to parse a reply of %q: %w", b.node, err)
	}

	for _, message := range named.GetMessages() {
		message.Metadata = &common.Metadata{Hostname: b.node}
	}

	return proto.Marshal(&named)
}

// BuildError implements proxy.Backend: it makes a message of an error, so that one node's does not hide the replies of
// the others.
func (b *backend) BuildError(_ bool, err error) ([]byte, error) {
	return proto.Marshal(&common.EmptyResponse{Messages: []*common.Empty{{Metadata: &common.Metadata{
		Hostname: b.node,
		Error:    err.Error(),
		Status:   status.Convert(err).Proto(),
	}}}})
}
