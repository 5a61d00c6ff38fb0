// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package plainlog keeps what others say from steering the terminal that a log is shown on, from filling the disk that it is
// written to, and from taking the credentials of a URL there. It decides nothing about the form of a log.
package plainlog

import (
	"encoding/json"
	"fmt"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// maxText bounds a message and each field, in bytes.
const maxText = 4096

// Wrap returns a core that writes what core does, with bounded and printable texts. A field of another kind, such as a list,
// becomes a text if it is not printable or too long.
func Wrap(core zapcore.Core) zapcore.Core { return plain{core} }

type plain struct{ zapcore.Core }

// With implements zapcore.Core.
func (p plain) With(fields []zapcore.Field) zapcore.Core { return plain{p.Core.With(clean(fields))} }

// Check implements zapcore.Core. A core may leave out more than its level says, as one that samples does.
func (p plain) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if p.Core.Check(entry, nil) != nil {
		return checked.AddCore(entry, p)
	}

	return checked
}

// Write implements zapcore.Core.
func (p plain) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	entry.Message = specs.Printable(entry.Message, maxText)

	return p.Core.Write(entry, clean(fields))
}

func clean(fields []zapcore.Field) []zapcore.Field {
	cleaned := make([]zapcore.Field, len(fields))
	for i, field := range fields {
		cleaned[i] = cleanField(field)
	}

	return cleaned
}

func cleanField(field zapcore.Field) zapcore.Field {
	switch field.Type {
	case zapcore.StringType:
		return zap.String(field.Key, specs.Printable(field.String, maxText))
	case zapcore.ErrorType, zapcore.StringerType:
		// Unlike their methods, fmt survives a nil pointer.
		return zap.String(field.Key, specs.Printable(fmt.Sprint(field.Interface), maxText))
	case zapcore.ByteStringType, zapcore.ReflectType, zapcore.ArrayMarshalerType, zapcore.ObjectMarshalerType:
		return cleanValue(field)
	default:
		return field
	}
}

// cleanValue takes a field by what it looks like in JSON, in which nearly all others end.
func cleanValue(field zapcore.Field) zapcore.Field {
	values := zapcore.NewMapObjectEncoder()
	field.AddTo(values)

	text, err := json.Marshal(values.Fields[field.Key])
	if err != nil {
		return zap.String(field.Key, specs.Printable(err.Error(), maxText))
	}

	if cleaned := specs.Printable(string(text), maxText); cleaned != string(text) {
		return zap.String(field.Key, cleaned)
	}

	return field
}
