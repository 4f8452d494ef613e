// Judges the versioned registers of a history (JSONL) with Porcupine, so that nobody has to believe our checker.
//
//	go run . HISTORY.jsonl
//
// Prints `true`, `false` or `unknown` for each key and for all. Exit codes as of `jepsen check`: 0, 1, 2; 3 if the file cannot be used.
// Lines are as in jepsen/README.md: `read`, `write` and `cas` with values [key [version value]].
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"
)

const timeout = time.Minute

type line struct {
	Type     string          `json:"type"`
	Process  json.RawMessage `json:"process"`
	F        string          `json:"f"`
	Value    json.RawMessage `json:"value"`
	Error    string          `json:"error"`
	Workload string          `json:"workload"`
}

type input struct {
	f        string
	expected int64
	value    string
}

type output struct {
	known   bool // was the outcome told?
	refused bool // a CAS that saw another version
	version int64
	value   string
}

type state struct {
	version int64
	value   string
}

var model = porcupine.Model{
	Init: func() interface{} { return state{0, "null"} },
	Step: func(before, in, out interface{}) (bool, interface{}) {
		s, i, o := before.(state), in.(input), out.(output)
		switch {
		case i.f == "read":
			return o.version == s.version && o.value == s.value, s
		case o.refused:
			return i.expected != s.version, s
		case i.f == "cas" && i.expected != s.version:
			// Of unknown outcome, it may as well not have happened.
			return !o.known, s
		}
		after := state{s.version + 1, i.value}
		return !o.known || o.version == after.version, after
	},
}

func fail(format string, parts ...interface{}) {
	fmt.Fprintf(os.Stderr, format+"\n", parts...)
	os.Exit(3)
}

// pair splits [first second].
func pair(raw json.RawMessage) (first, second json.RawMessage, ok bool) {
	var both []json.RawMessage
	if json.Unmarshal(raw, &both) != nil || len(both) != 2 {
		return nil, nil, false
	}
	return both[0], both[1], true
}

func versioned(raw json.RawMessage) (version int64, value string) {
	first, second, ok := pair(raw)
	if !ok {
		return 0, "null" // absent
	}
	_ = json.Unmarshal(first, &version)
	return version, string(second)
}

func main() {
	if len(os.Args) != 2 {
		fail("usage: porcupine HISTORY.jsonl")
	}
	file, err := os.Open(os.Args[1])
	if err != nil {
		fail("%v", err)
	}
	defer file.Close()

	keys := map[string][]porcupine.Operation{}
	open := map[string]int64{}
	begun := map[string]line{}
	finish := func(l line, end *line, call, ret int64) {
		key, argument, ok := pair(l.Value)
		if !ok || (l.F != "read" && l.F != "write" && l.F != "cas") {
			return
		}
		op := porcupine.Operation{Call: call, Return: ret}
		in, out := input{f: l.F}, output{}
		in.expected, in.value = versioned(argument)
		if end == nil || end.Type == "info" {
			if l.F == "read" {
				return
			}
			op.Return = math.MaxInt64
		} else if end.Type == "fail" {
			if l.F != "cas" || end.Error != "mismatch" {
				return
			}
			out = output{known: true, refused: true}
		} else {
			_, result, _ := pair(end.Value)
			out.known = true
			out.version, out.value = versioned(result)
		}
		op.Input, op.Output, op.ClientId = in, out, 0
		keys[string(key)] = append(keys[string(key)], op)
	}

	scanner := bufio.NewScanner(file)
	scanner.Buffer(make([]byte, 1<<20), 1<<30)
	for place := int64(0); scanner.Scan(); place++ {
		var l line
		if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
			fail("line %d: %v", place+1, err)
		}
		process := string(l.Process)
		if process == `"nemesis"` || (l.Workload != "" && l.Workload != ":register" && l.Workload != "register") {
			continue
		}
		if l.Type == "invoke" {
			open[process], begun[process] = place, l
			continue
		}
		if call, ok := open[process]; ok {
			end := l
			finish(begun[process], &end, call, place)
			delete(open, process)
		}
	}
	for process, call := range open {
		finish(begun[process], nil, call, math.MaxInt64)
	}

	names := make([]string, 0, len(keys))
	for name := range keys {
		names = append(names, name)
	}
	sort.Strings(names)
	worst := 0
	for _, name := range names {
		switch porcupine.CheckOperationsTimeout(model, keys[name], timeout) {
		case porcupine.Ok:
			fmt.Printf("true     %s (%d calls)\n", name, len(keys[name]))
		case porcupine.Illegal:
			fmt.Printf("false    %s (%d calls)\n", name, len(keys[name]))
			worst = 1
		default:
			fmt.Printf("unknown  %s (%d calls)\n", name, len(keys[name]))
			if worst == 0 {
				worst = 2
			}
		}
	}
	fmt.Println(map[int]string{0: "true", 1: "false", 2: "unknown"}[worst])
	os.Exit(worst)
}
