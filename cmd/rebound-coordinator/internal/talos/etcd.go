// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package talos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
)

// EtcdHealth returns an error unless each of the nodes, whose IP addresses they are, has a member of etcd with a vote and without
// errors.
//
// Several nodes have to be all control plane nodes but the one that is to go. Then etcd may have one more member with a vote and
// no others: one that was left over from a node that is gone counts for etcd's majority, and answers nobody. Of a single node
// only its own member is judged.
//
// The nodes are asked side by side, for ten seconds at most. Without any there is nothing to ask and no error. The error has
// a part for every node that something is wrong with; if one could not be asked with this talosconfig, it is a RefusedError.
func (c *Client) EtcdHealth(ctx context.Context, nodes []string) error {
	if len(nodes) == 0 {
		return nil
	}

	return c.call(ctx, func(ctx context.Context, s *session) error {
		answers := make([]etcdAnswer, len(nodes))

		var group sync.WaitGroup

		for i, node := range nodes {
			group.Go(func() { answers[i] = s.askEtcd(ctx, node) })
		}

		group.Wait()

		return judgeEtcd(answers)
	})
}

// etcdAnswer is what one node says.
type etcdAnswer struct {
	// id is that of its member.
	id uint64
	// voters are the members with a vote that it knows, itself included.
	voters []*machine.EtcdMember
	err    error
}

// askEtcd asks a node for its member and for the others.
func (s *session) askEtcd(ctx context.Context, node string) etcdAnswer {
	answer, err := s.readEtcd(ctx, node)
	if err != nil {
		answer.err = wrap(s.explain(ctx, err), "etcd of %q", node)
	}

	return answer
}

func (s *session) readEtcd(ctx context.Context, node string) (etcdAnswer, error) {
	to, err := s.to(ctx, node)
	if err != nil {
		return etcdAnswer{}, err
	}

	reply, err := s.talos.EtcdStatus(to)
	if err != nil {
		return etcdAnswer{}, err
	}

	if len(reply.GetMessages()) != 1 || reply.GetMessages()[0].GetMemberStatus() == nil {
		return etcdAnswer{}, errors.New("no status")
	}

	// A member without a leader says so among its errors.
	status := reply.GetMessages()[0].GetMemberStatus()

	switch {
	case len(status.GetErrors()) > 0:
		return etcdAnswer{}, errors.New(strings.Join(status.GetErrors(), ", "))
	case status.GetIsLearner():
		return etcdAnswer{}, errors.New("it is a learner and has no vote yet")
	}

	list, err := s.talos.EtcdMemberList(to, &machine.EtcdMemberListRequest{QueryLocal: true})
	if err != nil {
		return etcdAnswer{}, err
	}

	answer := etcdAnswer{id: status.GetMemberId()}

	for _, message := range list.GetMessages() {
		for _, member := range message.GetMembers() {
			if !member.GetIsLearner() {
				answer.voters = append(answer.voters, member)
			}
		}
	}

	if !slices.ContainsFunc(answer.voters, func(member *machine.EtcdMember) bool { return member.GetId() == answer.id }) {
		return etcdAnswer{}, errors.New("it is not among the members with a vote")
	}

	return answer, nil
}

// judgeEtcd returns what is wrong with the members that have answered, or that there is more than one besides them. One that
// was asked alone may be one of many, or the other one of two, which are no majority without each other anyway.
func judgeEtcd(answers []etcdAnswer) error {
	var (
		errs   etcdErrors
		others = map[uint64]string{}
	)

	for _, answer := range answers {
		if answer.err != nil {
			errs = append(errs, answer.err)
		}

		for _, member := range answer.voters {
			others[member.GetId()] = fmt.Sprintf("%q", member.GetHostname())
		}
	}

	switch {
	case len(errs) > 0:
		return errs
	case len(answers) == 1:
		return nil
	}

	for _, answer := range answers {
		delete(others, answer.id)
	}

	if len(others) > 1 {
		names := make([]string, 0, len(others))
		for _, name := range others {
			names = append(names, name)
		}

		slices.Sort(names)

		return etcdErrors{fmt.Errorf("etcd has %d members with a vote on nodes that are not known: %s; one of them may be gone",
			len(others), strings.Join(names, ", "))}
	}

	return nil
}

// etcdErrors are what is wrong with some nodes, in one line.
type etcdErrors []error

// Error implements error.
func (e etcdErrors) Error() string {
	texts := make([]string, 0, len(e))

	for _, err := range e {
		texts = append(texts, err.Error())
	}

	return strings.Join(texts, "; ")
}

// Unwrap returns them one by one.
func (e etcdErrors) Unwrap() []error { return e }
