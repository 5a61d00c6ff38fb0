// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package logind

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"
)

// peer is one connection to the bus.
type peer struct {
	server *Server
	conn   *net.UnixConn
	// subscribed is whether it has asked for signals.
	subscribed atomic.Bool

	mu     sync.Mutex
	serial uint32
}

func (p *peer) serve() {
	defer p.server.forget(p)
	defer p.conn.Close() //nolint:errcheck // the peer is gone or of no use any more

	reader := bufio.NewReader(p.conn)

	if err := p.authenticate(reader); err != nil {
		return
	}

	for {
		message, err := dbus.DecodeMessage(reader)
		if err != nil {
			return
		}

		if message.Type != dbus.TypeMethodCall {
			continue
		}

		if err = p.answer(message); err != nil {
			return
		}
	}
}

// authenticate agrees to whoever connects: the socket's folder is the node's.
func (p *peer) authenticate(reader *bufio.Reader) error {
	if _, err := reader.ReadByte(); err != nil { // the null byte that precedes the first command
		return err
	}

	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return err
		}

		var reply string

		switch command := strings.TrimRight(line, "\r\n"); {
		case command == "BEGIN":
			return nil
		case command == "NEGOTIATE_UNIX_FD":
			reply = "AGREE_UNIX_FD"
		case strings.HasPrefix(command, "AUTH EXTERNAL"):
			reply = "OK 7265626f756e646c6162000000000000"
		case strings.HasPrefix(command, "AUTH"):
			reply = "REJECTED EXTERNAL"
		default:
			reply = "ERROR"
		}

		if _, err = p.conn.Write([]byte(reply + "\r\n")); err != nil {
			return err
		}
	}
}

func (p *peer) answer(call *dbus.Message) error {
	iface, _ := call.Headers[dbus.FieldInterface].Value().(string)
	member, _ := call.Headers[dbus.FieldMember].Value().(string)

	switch iface + "." + member {
	case "org.freedesktop.DBus.Hello":
		return p.reply(call, ":1.1")
	case "org.freedesktop.DBus.AddMatch", "org.freedesktop.DBus.RemoveMatch":
		// There is but one signal.
		p.subscribed.Store(member == "AddMatch")

		return p.reply(call)
	case "org.freedesktop.DBus.Properties.Get":
		if value, ok := p.property(call.Body); ok {
			return p.reply(call, dbus.MakeVariant(value))
		}
	case managerInterface + ".Inhibit":
		return p.replyInhibitor(call)
	case managerInterface + ".Reboot":
		return p.replyReboot(call)
	case managerInterface + ".CanReboot":
		return p.reply(call, p.server.canReboot())
	}

	return p.replyError(call, "org.freedesktop.DBus.Error.UnknownMethod", fmt.Sprintf("no %s.%s here", iface, member))
}

// property returns a property that is called by its interface and name.
func (p *peer) property(called []any) (value any, ok bool) {
	if len(called) != 2 || called[0] != managerInterface {
		return nil, false
	}

	switch called[1] {
	case "InhibitDelayMaxUSec":
		return uint64(InhibitMaxDelay / time.Microsecond), true
	case "PreparingForShutdown":
		return p.server.isPreparing(), true
	default:
		return nil, false
	}
}

func (p *peer) replyInhibitor(call *dbus.Message) error {
	inhibitor, err := p.server.inhibit()
	if err != nil {
		return p.replyError(call, "org.freedesktop.DBus.Error.Failed", err.Error())
	}

	// The receiver has a copy of its own once the message is sent.
	defer inhibitor.Close() //nolint:errcheck // nothing was written

	return p.reply(call, inhibitor)
}

// replyReboot begins the reboot that is asked for. Whether polkit may ask a
// person, the one argument, makes no difference here: nobody is refused.
func (p *peer) replyReboot(call *dbus.Message) error {
	if len(call.Body) != 1 || dbus.SignatureOf(call.Body...).String() != "b" {
		return p.replyError(call, "org.freedesktop.DBus.Error.InvalidArgs", "Reboot takes one boolean")
	}

	if err := p.server.beginReboot(); err != nil {
		return p.replyError(call, "org.freedesktop.DBus.Error.Failed", err.Error())
	}

	return p.reply(call)
}

// reply answers a call. A file in the body travels next to the message.
func (p *peer) reply(call *dbus.Message, body ...any) error {
	return p.send(&dbus.Message{
		Type:    dbus.TypeMethodReply,
		Headers: map[dbus.HeaderField]dbus.Variant{dbus.FieldReplySerial: dbus.MakeVariant(call.Serial())},
		Body:    body,
	})
}

func (p *peer) replyError(call *dbus.Message, name, text string) error {
	return p.send(&dbus.Message{
		Type: dbus.TypeError,
		Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldReplySerial: dbus.MakeVariant(call.Serial()),
			dbus.FieldErrorName:   dbus.MakeVariant(name),
		},
		Body: []any{text},
	})
}

func (p *peer) emit(path dbus.ObjectPath, iface, member string, body ...any) error {
	return p.send(&dbus.Message{
		Type: dbus.TypeSignal,
		Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldPath:      dbus.MakeVariant(path),
			dbus.FieldInterface: dbus.MakeVariant(iface),
			dbus.FieldMember:    dbus.MakeVariant(member),
		},
		Body: body,
	})
}

func (p *peer) send(message *dbus.Message) error {
	message.Headers[dbus.FieldSender] = dbus.MakeVariant("org.freedesktop.login1")

	var rights []byte

	for i, value := range message.Body {
		if file, ok := value.(*os.File); ok {
			message.Body[i] = dbus.UnixFDIndex(0)
			message.Headers[dbus.FieldUnixFDs] = dbus.MakeVariant(uint32(1))

			rights = syscall.UnixRights(int(file.Fd()))
		}
	}

	if len(message.Body) > 0 {
		message.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(message.Body...))
	}

	var encoded bytes.Buffer

	if err := message.EncodeTo(&encoded, binary.LittleEndian); err != nil {
		return fmt.Errorf("failed to encode D-Bus message: %w", err)
	}

	p.mu.Lock()
	defer p.mu.Unlock()

	// The serial is the third word of the header; the library numbers only the
	// messages of its own connections, and zero is not a valid number.
	p.serial++
	binary.LittleEndian.PutUint32(encoded.Bytes()[8:], p.serial)

	if _, _, err := p.conn.WriteMsgUnix(encoded.Bytes(), rights, nil); err != nil {
		return fmt.Errorf("failed to send D-Bus message: %w", err)
	}

	return nil
}
