// A peer of go-libp2p, set up as a charon node is, for tests: told by lines on its input what to do, it says on
// its output, a line each, what came of it.
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	relay "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/libp2p/go-msgio"
	"github.com/multiformats/go-multiaddr"
)

const (
	mostBytes = 128 << 20
	patience  = 2 * time.Minute
)

func main() {
	secret, err := hex.DecodeString(os.Args[1])
	check(err)
	key, err := crypto.UnmarshalSecp256k1PrivateKey(secret)
	check(err)
	options := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.UserAgent("go-peer"),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.ForceReachabilityPublic(),
	}
	if len(os.Args) > 2 && os.Args[2] == "relayed" {
		options = append(options, libp2p.NoListenAddrs, libp2p.EnableRelay())
	} else {
		options = append(options, libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
	}
	node, err := libp2p.New(options...)
	check(err)
	node.SetStreamHandler("/echo/1.0.0", func(stream network.Stream) {
		defer stream.Close()
		message, err := msgio.NewVarintReaderSize(stream, mostBytes).ReadMsg()
		if err != nil || msgio.NewVarintWriter(stream).WriteMsg(message) != nil {
			_ = stream.Reset()
		}
	})
	node.SetStreamHandler("/raw/1.0.0", func(stream network.Stream) {
		defer stream.Close()
		_, _ = io.Copy(stream, stream)
	})
	address := "-"
	if addresses := node.Addrs(); len(addresses) > 0 {
		address = addresses[0].String()
	}
	fmt.Println("ready", node.ID(), address)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 3*mostBytes)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		answer, err := do(node, words[0], words[1:])
		if err != nil {
			answer = "error " + strings.ReplaceAll(err.Error(), "\n", " ")
		}
		fmt.Println(answer)
	}
}

func do(node host.Host, what string, words []string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	switch what {
	case "serve-relay":
		_, err := relay.New(node)
		return "ok", err
	case "connect": // an address that ends in /p2p/ID
		info, err := infoOf(words[0])
		if err != nil {
			return "", err
		}
		return "ok", node.Connect(network.WithAllowLimitedConn(ctx, "test"), info)
	case "reserve": // at a relay's address
		info, err := infoOf(words[0])
		if err != nil {
			return "", err
		}
		reservation, err := client.Reserve(ctx, node, info)
		if err != nil {
			return "", err
		}
		seconds := int(time.Until(reservation.Expiration).Seconds())
		return fmt.Sprint("ok ", seconds, " ", reservation.LimitDuration, " ", reservation.LimitData), nil
	case "forget": // the connections with a peer
		id, err := peer.Decode(words[0])
		if err != nil {
			return "", err
		}
		node.Peerstore().ClearAddrs(id)
		return "ok", node.Network().ClosePeer(id)
	case "ping":
		id, err := peer.Decode(words[0])
		if err != nil {
			return "", err
		}
		result := <-ping.Ping(network.WithAllowLimitedConn(ctx, "test"), node, id)
		return "ok", result.Error
	case "known": // what identify has told of a peer
		id, err := peer.Decode(words[0])
		if err != nil {
			return "", err
		}
		protocols, err := node.Peerstore().GetProtocols(id)
		if err != nil {
			return "", err
		}
		agent, _ := node.Peerstore().Get(id, "AgentVersion")
		addresses := node.Peerstore().Addrs(id)
		return fmt.Sprint("ok ", agent, " ", len(addresses), " ", protocol.ConvertToStrings(protocols)), nil
	case "request": // ID, protocol, message
		message, err := hex.DecodeString(strings.TrimPrefix(words[2], "-"))
		if err != nil {
			return "", err
		}
		answer, err := request(ctx, node, words[0], words[1], message)
		return "ok " + hex.EncodeToString(answer), err
	case "many": // ID, protocol, bytes, requests, at once: seconds, and CPU microseconds a request
		return many(ctx, node, words)
	}
	return "", fmt.Errorf("unknown command %q", what)
}

func infoOf(text string) (peer.AddrInfo, error) {
	address, err := multiaddr.NewMultiaddr(text)
	if err != nil {
		return peer.AddrInfo{}, err
	}
	info, err := peer.AddrInfoFromP2pAddr(address)
	if err != nil {
		return peer.AddrInfo{}, err
	}
	return *info, nil
}

func request(ctx context.Context, node host.Host, who, name string, message []byte) ([]byte, error) {
	id, err := peer.Decode(who)
	if err != nil {
		return nil, err
	}
	stream, err := node.NewStream(network.WithAllowLimitedConn(ctx, "test"), id, protocol.ID(name))
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	if err := msgio.NewVarintWriter(stream).WriteMsg(message); err != nil {
		return nil, err
	}
	if err := stream.CloseWrite(); err != nil {
		return nil, err
	}
	return msgio.NewVarintReaderSize(stream, mostBytes).ReadMsg()
}

func many(ctx context.Context, node host.Host, words []string) (string, error) {
	numbers := [3]int{}
	for i := range numbers {
		number, err := strconv.Atoi(words[2+i])
		if err != nil {
			return "", err
		}
		numbers[i] = number
	}
	size, count, atOnce := numbers[0], numbers[1], numbers[2]
	message := make([]byte, size)
	begin, cpu := time.Now(), cpuTime()
	var all sync.WaitGroup
	errors := make(chan error, atOnce)
	for range atOnce {
		all.Add(1)
		go func() {
			defer all.Done()
			for range count / atOnce {
				if _, err := request(ctx, node, words[0], words[1], message); err != nil {
					errors <- err
					return
				}
			}
		}()
	}
	all.Wait()
	select {
	case err := <-errors:
		return "", err
	default:
	}
	spent := (cpuTime() - cpu).Seconds() / float64(count) * 1e6
	return fmt.Sprintf("ok %.6f %.2f", time.Since(begin).Seconds(), spent), nil
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

