// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talosapi

import (
	"context"
	"slices"
	"strings"

	"github.com/siderolabs/grpc-proxy/proxy"
	"github.com/siderolabs/talos/pkg/machinery/api/cluster"
	"github.com/siderolabs/talos/pkg/machinery/api/inspect"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/api/storage"
	"github.com/siderolabs/talos/pkg/machinery/api/time"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// The metadata in which a client names the nodes that a call is meant for.
const (
	nodeKey  = "node"
	nodesKey = "nodes"
)

// manyNodeServices are those whose replies have room for the answers of several nodes. Resources are not among them.
var manyNodeServices = []grpc.ServiceDesc{
	machine.MachineService_ServiceDesc,
	cluster.ClusterService_ServiceDesc,
	inspect.InspectService_ServiceDesc,
	storage.StorageService_ServiceDesc,
	time.TimeService_ServiceDesc,
}

// router decides which machines a call goes to.
type router struct {
	local       string
	resolve     func(node string) (target string, ok bool)
	connections *connections
}

// direct implements proxy.StreamDirector.
func (r *router) direct(ctx context.Context, method string) (proxy.Mode, []proxy.Backend, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	node, nodes := md[nodeKey], md[nodesKey]

	switch {
	case len(node) > 1:
		return proxy.One2One, nil, status.Error(codes.InvalidArgument, "node metadata must be single-valued")
	case len(node)+len(nodes) == 0:
		return proxy.One2One, []proxy.Backend{&backend{target: r.local, connections: r.connections}}, nil
	case len(nodes) > 0 && !takesManyNodes(method):
		return proxy.One2One, nil, status.Errorf(codes.InvalidArgument, "one-2-many proxying is not supported for method %s", method)
	case r.resolve == nil:
		return proxy.One2One, nil, status.Error(codes.PermissionDenied, "no request forwarding")
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

	return &backend{node: node, target: target, connections: r.connections}
}

func takesManyNodes(method string) bool {
	return slices.ContainsFunc(manyNodeServices, func(service grpc.ServiceDesc) bool {
		return strings.HasPrefix(method, "/"+service.ServiceName+"/")
	})
}

// isStreamed implements proxy.StreamedDetectorFunc: the replies of a stream are no lists, and are told apart otherwise.
func isStreamed(method string) bool {
	return slices.ContainsFunc(manyNodeServices, func(service grpc.ServiceDesc) bool {
		return slices.ContainsFunc(service.Streams, func(stream grpc.StreamDesc) bool {
			return method == "/"+service.ServiceName+"/"+stream.StreamName
		})
	})
}
