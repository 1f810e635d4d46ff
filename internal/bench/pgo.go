package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// profileFile is what release builds are optimised by (https://go.dev/doc/pgo),
// from the top of the module.
const profileFile = "internal/bench/anyproxy.pgo"

// A load is what a process does while it is profiled.
type load struct {
	side
	paced bool
}

// loads are what the profile of a release is made of. Each counts alike, however
// much it costs.
var loads = []load{
	{side{"paced", logged}, true},
	{side{"paced", everything}, true},
	{side{"small", logged}, false},
	{side{"small", everything}, false},
	{side{"burst40", logged}, false},
	{side{"burst400", everything}, false},
	{side{"body100k", everything}, false},
	{side{"anymodel", failing}, false},
	{side{convertPrefix + "paced", converting}, true},
	{side{convertPrefix + "small", converting}, false},
	{side{convertPrefix + "burst40", converting}, false},
	{side{convertPrefix + "burst400", converting}, false},
}

// profiledStreams are the paced streams that a process serves at a time while
// it is profiled: one alone would hardly be met by the profiler's clock.
const profiledStreams = 320

// makeProfile puts all the loads on anyproxy and writes what release builds are
// optimised by to o.makeProfile.
func makeProfile(ctx context.Context, o options, out, errw io.Writer) error {
	if _, err := os.Stat(filepath.Dir(o.makeProfile)); err != nil { // before minutes of load
		return fmt.Errorf("write the profile: %w", err)
	}
	sum := calls{}
	for i, l := range loads {
		fmt.Fprintf(errw, "profile %d of %d: %s, %s\n", i+1, len(loads), l.plan, l.target)
		one, err := profileLoad(ctx, o, l, errw)
		if err != nil {
			return fmt.Errorf("%s, %s: %w", l.plan, l.target, err)
		}
		sum.add(one)
	}
	encoded, err := sum.encode()
	if err != nil {
		return err
	}
	if err := os.WriteFile(o.makeProfile, encoded, 0o644); err != nil {
		return fmt.Errorf("write the profile: %w", err)
	}
	fmt.Fprintf(out, "%s: %d calls in %d loads, %.1f kB\n", o.makeProfile, len(sum), len(loads), float64(len(encoded))/1e3)
	return nil
}

// profileLoad has a fresh process serve one load.
func profileLoad(ctx context.Context, o options, l load, errw io.Writer) (calls, error) {
	var found calls
	err := withBench(ctx, o, errw, func(ctx context.Context, b *bench) error {
		b.cpuprofile = b.dir
		plans, targets, err := b.sides(ctx, []side{l.side})
		if err != nil {
			return err
		}
		if l.paced {
			_, err = targets[0].pace(ctx, plans[0], b.few(profiledStreams), 2*pacedEach, paced*pace)
		} else {
			_, err = saturate(ctx, plans, targets, clients, 4*b.short(slice))
		}
		// The profile is whole when its process has ended.
		if err = errors.Join(err, b.stop(), targets[0].wrongly()); err != nil {
			return err
		}
		found, err = readCalls(ctx, filepath.Join(b.dir, l.target+".cpu"))
		return err
	})
	return found, err
}

// A call is what the compiler looks up in a profile: a callee and where in the
// caller it is called, in lines below the caller's first. It reads nothing else.
type call struct {
	caller, callee string
	offset         int64
}

// calls have weights, of any unit.
type calls map[call]int64

// preprofiled is the first line of what go tool preprofile writes. The format
// is that of cmd/internal/pgo/serialize.go in Go's sources.
const preprofiled = "GO PREPROFILE V1"

// readCalls reads a profile in the way in which a build does.
func readCalls(ctx context.Context, file string) (calls, error) {
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "tool", "preprofile", "-i", file)
	cmd.Stderr = &said
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go tool preprofile: %w\n%s", err, &said)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if lines[0] != preprofiled || len(lines)%3 != 1 {
		return nil, fmt.Errorf("go tool preprofile has written something else than %q: this Go is not known yet", preprofiled)
	}
	found := calls{}
	for three := range slices.Chunk(lines[1:], 3) {
		c := call{caller: three[0], callee: three[1]}
		var weight int64
		if _, err := fmt.Sscanf(three[2], "%d %d", &c.offset, &weight); err != nil {
			return nil, fmt.Errorf("go tool preprofile has written %q for an offset and a weight: %w", three[2], err)
		}
		found[c] += weight
	}
	return found, nil
}

// share is the weight of all calls of a load together.
const share = 1e6

// add adds another load's calls, with a weight of share in all.
func (all calls) add(other calls) {
	maps.DeleteFunc(other, func(c call, _ int64) bool { return !useful(c.caller) || !useful(c.callee) })
	var sum int64
	for _, weight := range other {
		sum += weight
	}
	for c, weight := range other {
		if part := int64(math.Round(float64(weight) / float64(sum) * share)); part > 0 {
			all[c] += part
		}
	}
}

// useful is whether a build can use what is known of a function: not when only
// the program that was profiled has it, nor when it is none of a package's, as
// some routines of assembly, those that compare and hash values of a type, and
// those of the race detector, in C and C++.
func useful(function string) bool {
	return strings.Contains(function, ".") && !strings.Contains(function, ":") && !strings.HasPrefix(function, "main.") &&
		!strings.HasPrefix(function, "_") && !slices.ContainsFunc(partsOfC, func(part string) bool { return strings.Contains(function, part) })
}

// partsOfC mark what a C compiler has made of a part or a variant of a function.
var partsOfC = []string{".part.", ".constprop.", ".isra.", ".cold"}

// Fields of a profile, by github.com/google/pprof/proto/profile.proto.
const (
	profileSampleType, profileSample, profileLocation, profileFunction, profileString = 1, 2, 4, 5, 6

	typeType, typeUnit                          = 1, 2
	sampleLocation, sampleValue                 = 1, 2
	locationID, locationLine                    = 1, 4
	lineFunction, lineLine                      = 1, 2
	functionID, functionName, functionStartLine = 1, 2, 5
)

// Strings by number. The first must be empty.
const stringNone, stringCPU, stringUnit = 0, 1, 2

// encode writes a profile that holds the calls and nothing of the machine that
// they were found on: no files, addresses, mappings or times. Each call is a
// sample with two frames. The same calls give the same bytes.
func (all calls) encode() ([]byte, error) {
	e := &encoder{names: map[string]uint64{}, firstLine: 1, places: map[place]uint64{}}
	for c := range all {
		e.firstLine = max(e.firstLine, 1-c.offset) // of generated code it is negative
	}
	e.out = message(nil, profileSampleType, varint(varint(nil, typeType, stringCPU), typeUnit, stringUnit))
	e.strings = []string{stringNone: "", stringCPU: "cpu", stringUnit: "nanoseconds"}
	for _, c := range slices.SortedFunc(maps.Keys(all), func(a, b call) int {
		return cmp.Or(cmp.Compare(all[b], all[a]), cmp.Compare(a.caller, b.caller), cmp.Compare(a.callee, b.callee), cmp.Compare(a.offset, b.offset))
	}) {
		caller, callee := e.place(c.caller, e.firstLine+c.offset), e.place(c.callee, 0)
		e.out = message(e.out, profileSample, varint(varint(varint(nil, sampleLocation, callee), sampleLocation, caller), sampleValue, uint64(all[c])))
	}
	for _, s := range e.strings {
		e.out = message(e.out, profileString, []byte(s))
	}
	var zipped bytes.Buffer
	w, err := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(e.out)
	err = errors.Join(err, w.Close())
	return zipped.Bytes(), err
}

// An encoder numbers the functions and places that it has written.
type encoder struct {
	out       []byte
	strings   []string
	firstLine int64 // of every function
	names     map[string]uint64
	places    map[place]uint64
}

// A place is a line of a function, 0 for any.
type place struct {
	function uint64
	line     int64
}

func (e *encoder) function(name string) uint64 {
	id, known := e.names[name]
	if !known {
		id = uint64(len(e.names) + 1)
		e.names[name] = id
		f := varint(varint(nil, functionID, id), functionName, uint64(len(e.strings)))
		e.out = message(e.out, profileFunction, varint(f, functionStartLine, uint64(e.firstLine)))
		e.strings = append(e.strings, name)
	}
	return id
}

func (e *encoder) place(function string, line int64) uint64 {
	p := place{e.function(function), line}
	id, known := e.places[p]
	if !known {
		id = uint64(len(e.places) + 1)
		e.places[p] = id
		l := varint(varint(nil, lineFunction, p.function), lineLine, uint64(line))
		e.out = message(e.out, profileLocation, message(varint(nil, locationID, id), locationLine, l))
	}
	return id
}

// varint appends the field of a number.
func varint(to []byte, field protowire.Number, n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(to, field, protowire.VarintType), n)
}

// message appends the field of a message or a string.
func message(to []byte, field protowire.Number, m []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(to, field, protowire.BytesType), m)
}
