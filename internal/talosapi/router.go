// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosapi

import (
	"context"
	"strings"

	"github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/siderolabs/grpc-proxy/proxy"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
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

	switch {
	case len(node) > 1:
		return proxy.One2One, nil, status.Error(codes.InvalidArgument, "node metadata must be single-valued")
	case len(node)+len(nodes) == 0:
		return proxy.One2One, []proxy.Backend{&backend{target: r.local}}, nil
	case len(nodes) > 0 && strings.HasPrefix(method, "/"+v1alpha1.State_ServiceDesc.ServiceName+"/"):
		return proxy.One2One, nil, status.Errorf(codes.InvalidArgument, "one-2-many proxying is not supported for method %s", method)
	case r.resolve == nil:
		return proxy.One2One, nil, status.Error(codes.PermissionDenied, "no request forwarding")
	case len(nodes) > 0 && method != machine.MachineService_Version_FullMethodName:
		// No machine has it, so that nothing needs to know how its replies are put together.
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

// named returns the backend of a node. If there is no such node, only using it fails, so that the others of the same
// call still answer.
func (r *router) named(node string) proxy.Backend {
	target, ok := r.resolve(node)
	if !ok {
		return &backend{node: node, err: status.Errorf(codes.Unavailable, "dns: A record lookup error: lookup %s: no such host", node)}
	}

	return &backend{node: node, target: target}
}
