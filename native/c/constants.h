/* Written by testing/generate.py, which says what these are.
 *
 * Twin in blst: consts.c.
 */
#pragma once
#include <stdint.h>

/* -1 / p mod 2^52 */
#define P_INVERSE 0x3fffcfffcfffdull

/* p / 2^416, rounded up */
#define P_PER_R 2.365067e-11

/* 2^416 / p, rounded up */
#define R_PER_P 0x9d835d2f4ull

/* |x| from its top bit: after so many doublings another one is added, but after the last. */
#define X_ONES 6
static const uint8_t X_DOUBLINGS[X_ONES] = {1, 2, 3, 9, 32, 16};

/* 2^k p */
static const uint64_t P_TIMES[13][8] = {
    {0xeffffffffaaab, 0xfeb153ffffb9f, 0x6b0f6241eabff, 0x12bf6730d2a0f,
     0x764774b84f385, 0x1ba7b6434bacd, 0x1ea397fe69a4b, 0x1a011},
    {0xdffffffff5556, 0xfd62a7ffff73f, 0xd61ec483d57ff, 0x257ece61a541e,
     0xec8ee9709e70a, 0x374f6c869759a, 0x3d472ffcd3496, 0x34022},
    {0xbfffffffeaaac, 0xfac54ffffee7f, 0xac3d8907aafff, 0x4afd9cc34a83d,
     0xd91dd2e13ce14, 0x6e9ed90d2eb35, 0x7a8e5ff9a692c, 0x68044},
    {0x7fffffffd5558, 0xf58a9ffffdcff, 0x587b120f55fff, 0x95fb39869507b,
     0xb23ba5c279c28, 0xdd3db21a5d66b, 0xf51cbff34d258, 0xd0088},
    {0xffffffffaaab0, 0xeb153ffffb9fe, 0xb0f6241eabfff, 0x2bf6730d2a0f6,
     0x64774b84f3851, 0xba7b6434bacd7, 0xea397fe69a4b1, 0x1a0111},
    {0xffffffff55560, 0xd62a7ffff73fd, 0x61ec483d57fff, 0x57ece61a541ed,
     0xc8ee9709e70a2, 0x74f6c869759ae, 0xd472ffcd34963, 0x340223},
    {0xfffffffeaaac0, 0xac54ffffee7fb, 0xc3d8907aaffff, 0xafd9cc34a83da,
     0x91dd2e13ce144, 0xe9ed90d2eb35d, 0xa8e5ff9a692c6, 0x680447},
    {0xfffffffd55580, 0x58a9ffffdcff7, 0x87b120f55ffff, 0x5fb39869507b5,
     0x23ba5c279c289, 0xd3db21a5d66bb, 0x51cbff34d258d, 0xd0088f},
    {0xfffffffaaab00, 0xb153ffffb9fef, 0xf6241eabfffe, 0xbf6730d2a0f6b,
     0x4774b84f38512, 0xa7b6434bacd76, 0xa397fe69a4b1b, 0x1a0111e},
    {0xfffffff555600, 0x62a7ffff73fdf, 0x1ec483d57fffd, 0x7ece61a541ed6,
     0x8ee9709e70a25, 0x4f6c869759aec, 0x472ffcd349637, 0x340223d},
    {0xffffffeaaac00, 0xc54ffffee7fbf, 0x3d8907aaffffa, 0xfd9cc34a83dac,
     0x1dd2e13ce144a, 0x9ed90d2eb35d9, 0x8e5ff9a692c6e, 0x680447a},
    {0xffffffd555800, 0x8a9ffffdcff7f, 0x7b120f55ffff5, 0xfb39869507b58,
     0x3ba5c279c2895, 0x3db21a5d66bb2, 0x1cbff34d258dd, 0xd0088f5},
    {0xffffffaaab000, 0x153ffffb9feff, 0xf6241eabfffeb, 0xf6730d2a0f6b0,
     0x774b84f38512b, 0x7b6434bacd764, 0x397fe69a4b1ba, 0x1a0111ea}};

/* a^((p - 3) / 4) by 380 squarings and 69 products. First powers of a: a itself, then each
 * the power `of` times the square of the power `square`. */
#define CHAIN_POWERS 15
static const struct { uint8_t of, square; } CHAIN_POWER[CHAIN_POWERS] = {
    {0, 0}, {0, 0}, {1, 0}, {2, 0}, {3, 0}, {4, 0}, {5, 0}, {1, 3}, {4, 3}, {6, 8}, {9, 8}, {2, 9},
    {4, 9}, {12, 9}, {5, 10}};
/* Then, from the first step's power on, squarings and a product with a power. */
#define CHAIN_STEPS 56
#define CHAIN_LAST_SQUARINGS 1
static const struct { uint8_t squarings, power; } CHAIN[CHAIN_STEPS] = {
    {0, 6}, {13, 7}, {11, 13}, {6, 3}, {7, 8}, {7, 12}, {6, 6}, {9, 10}, {6, 5}, {11, 14}, {9, 11},
    {2, 0}, {4, 4}, {8, 6}, {7, 8}, {5, 5}, {6, 6}, {7, 9}, {7, 7}, {8, 14}, {7, 8}, {8, 4}, {3, 3},
    {5, 3}, {7, 2}, {7, 4}, {5, 5}, {7, 11}, {5, 3}, {4, 1}, {11, 10}, {4, 2}, {12, 11}, {5, 5},
    {11, 11}, {7, 4}, {13, 13}, {6, 8}, {7, 12}, {7, 12}, {5, 5}, {6, 2}, {5, 4}, {3, 3}, {7, 12},
    {7, 12}, {5, 8}, {9, 12}, {3, 2}, {7, 12}, {7, 12}, {7, 12}, {7, 12}, {8, 13}, {4, 2}, {4, 2}};

/* p */
static const uint64_t P_LIMBS[8] = {
    0xeffffffffaaab, 0xfeb153ffffb9f, 0x6b0f6241eabff, 0x12bf6730d2a0f,
    0x764774b84f385, 0x1ba7b6434bacd, 0x1ea397fe69a4b, 0x000000001a011};

/* (p - 1) / 2: what is larger is the lexicographically larger root */
static const uint64_t HALF_P[8] = {
    0xf7fffffffd555, 0xff58a9ffffdcf, 0xb587b120f55ff, 0x895fb39869507,
    0xbb23ba5c279c2, 0x8dd3db21a5d66, 0x8f51cbff34d25, 0x000000000d008};

/* 2^-52 mod p; it is below 0.2501 p */
static const uint64_t FOLD[8] = {
    0x04be07d2027cb, 0xd7786e39002d4, 0xf51047083c4dd, 0x96079a7670223,
    0x04ca513044b79, 0x6615d3780ea11, 0xf9a5623d6a279, 0x0000000006803};

/* 1 */
static const uint64_t ONE[8] = {
    0x6480ea8e9b9af, 0x65766c8fe444f, 0x8b540fea96f7d, 0x3b2ee82efd422,
    0xa6723e5f0ade5, 0xff6eb6fdd4230, 0xe06ef23c24a25, 0x0000000014c8e};

/* times it: into Montgomery form */
static const uint64_t TO_MONTGOMERY[8] = {
    0xa5bf4cb89af51, 0x3afbba7ca31a2, 0x2646160ec71f1, 0xa84d710465903,
    0x3480a4a188311, 0x98e5907ad91f5, 0x2075d74507266, 0x0000000008746};

/* times it: 2^384 a into Montgomery form */
static const uint64_t HIGH_TO_MONTGOMERY[8] = {
    0xa88c5d24834b0, 0xd5359b14b0f9e, 0x9c8a4699a6624, 0x7ab4b3203bbb9,
    0x2f932a92b246b, 0x02bcfcd2a29d1, 0x433fdf679d883, 0x00000000127a0};

/* times it: from blst's form */
static const uint64_t FROM_BLST[8] = {
    0x7fde37dba9366, 0x4e27525bc342b, 0x1f5b1e9778489, 0xb872b2b91b9dc,
    0xb206f497dfcaf, 0x4137cc89a9b0b, 0xd9d20d7e39959, 0x000000000411c};

/* times it: into blst's form, a * 2^384 */
static const uint64_t TO_BLST[8] = {
    0x900000002fffd, 0x0bc40c0002760, 0x3c758baebf400, 0x57455f4898575,
    0xd77ce58537052, 0x071a97a256ec6, 0xec3fa80e4935c, 0x0000000015f65};

/* a cube root of 1: (beta x, y) = -x^2 (x, y) in G1 */
static const uint64_t BETA[8] = {
    0xd75aaff33455f, 0xd095356b7cbb6, 0x953a2f6fa079f, 0x1080cf0a3d697,
    0x3f7de3465fe7c, 0x01f71fd6896ec, 0xd9dd9cc172747, 0x0000000007d91};

/* psi(x, y) = (PSI_X conj(x), PSI_Y conj(y)) */
static const uint64_t PSI_X[16] = {
    0x0000000000000, 0x0000000000000, 0x0000000000000, 0x0000000000000,
    0x0000000000000, 0x0000000000000, 0x0000000000000, 0x0000000000000,
    0x18a5500cc654c, 0x2e1c1e9482fe9, 0xd5d532d24a460, 0x023e982695377,
    0x36c99171ef509, 0x19b0966cc23e1, 0x44c5fb3cf7304, 0x000000001227f};

/* see above */
static const uint64_t PSI_Y[16] = {
    0x9c1a677c96161, 0xf16c8708fcef3, 0x94977d28093e6, 0xa06b71c927307,
    0xb4fa740f70cc7, 0x844ca7b844683, 0x3f2d89b2709bb, 0x000000000917d,
    0x53e598836494a, 0x0d44ccf702cac, 0xd677e519e1819, 0x7253f567ab707,
    0xc14d00a8de6bd, 0x975b0e8b07449, 0xdf760e4bf908f, 0x0000000010e93};

/* psi(psi(x, y)) = (PSI_SQUARED_X x, -y) = x^2 (x, y) in G2 */
static const uint64_t PSI_SQUARED_X[8] = {
    0xa424657e25648, 0xc75706049e739, 0xb59085299e0e2, 0xd9cf17286a964,
    0x069ec7cb33aa8, 0x35e995b239c7e, 0x82faa0ff3c329, 0x0000000017601};

/* the curves: y^2 = x^3 + 4, y^2 = x^3 + 4 (1 + i) */
static const uint64_t FOUR[8] = {
    0xc203aa3a7e6bb, 0x99c5b63f91e5d, 0xec2218e49b9f5, 0xb47d6b297d25b,
    0x36f29b533dd05, 0xaac3b92d6d85a, 0x25d100f5559b6, 0x0000000005208};

/* the curve that is mapped to: y^2 = x^3 + A x + B */
static const uint64_t SSWU_A[16] = {
    0x0000000000000, 0x0000000000000, 0x0000000000000, 0x0000000000000,
    0x0000000000000, 0x0000000000000, 0x0000000000000, 0x0000000000000,
    0x28dbe5b5dbe7b, 0x18b81ae634e1a, 0xbe549cbf63190, 0x7f2baea047ee1,
    0xcbca63971569e, 0xd5aa91c16ae50, 0x8bf4b19186595, 0x000000001592c};

/* -A */
static const uint64_t SSWU_MINUS_A[16] = {
    0x0000000000000, 0x0000000000000, 0x0000000000000, 0x0000000000000,
    0x0000000000000, 0x0000000000000, 0x0000000000000, 0x0000000000000,
    0xc7241a4a1ec30, 0xe5f93919cad85, 0xacbac58287a6f, 0x9393b8908ab2d,
    0xaa7d112139ce6, 0x45fd2481e0c7c, 0x92aee66ce34b5, 0x00000000046e4};

/* B */
static const uint64_t SSWU_B[16] = {
    0xcd9f3bcff5c14, 0x387408d33d90b, 0xdfc0cb4fddbb9, 0xc95027a85d7e4,
    0xaa1629fced22a, 0x78541f03c0fd4, 0x823ddac362126, 0x0000000016ec6,
    0xcd9f3bcff5c14, 0x387408d33d90b, 0xdfc0cb4fddbb9, 0xc95027a85d7e4,
    0xaa1629fced22a, 0x78541f03c0fd4, 0x823ddac362126, 0x0000000016ec6};

/* Z */
static const uint64_t SSWU_Z[16] = {
    0x16fe2ae2be1f8, 0x3275cee036ea1, 0xbf76a4aea7905, 0xaf20fe03aabd9,
    0x9faa6cb288b3f, 0x3871fe8aef139, 0x7c694b848a04a, 0x000000000a704,
    0x8b7f15715f0fc, 0x993ae7701b750, 0xdfbb525753c82, 0xd7907f01d55ec,
    0xcfd536594459f, 0x1c38ff457789c, 0x3e34a5c245025, 0x0000000005382};

/* Z A */
static const uint64_t SSWU_ZA[16] = {
    0x28dbe5b5dbe7b, 0x18b81ae634e1a, 0xbe549cbf63190, 0x7f2baea047ee1,
    0xcbca63971569e, 0xd5aa91c16ae50, 0x8bf4b19186595, 0x000000001592c,
    0x8e4834943d860, 0xcbf2723395b0b, 0x59758b050f4df, 0x272771211565b,
    0x54fa2242739cd, 0x8bfa4903c18f9, 0x255dccd9c696a, 0x0000000008dc9};

/* Z^-3 */
static const uint64_t SSWU_INVERSE_ZZZ[16] = {
    0x1b51e7c45bcdc, 0xe0b8b4370a7a6, 0x64ced4e622da3, 0x29d2c4c3b4f6f,
    0x399c5adf18956, 0xb07427ed02504, 0xb53ddaf7b335a, 0x000000001338f,
    0x19bd8547ec69d, 0xa57ec4d14500e, 0x6cdb5857d60fa, 0x77b5c9bfb9d68,
    0x128953ce84e3f, 0xbfc7b3b8eda6c, 0x345dc3a5b6904, 0x00000000184bf};

/* c = sqrt(-1 / norm(Z^3)) */
static const uint64_t SSWU_ROOT[8] = {
    0xa01ee189c88b0, 0x3855a3496300c, 0x7fa44f87362f6, 0x4b7153d6b1e16,
    0x27ca21047ae03, 0x2a30ce1f9b4f4, 0xa4c6757932410, 0x000000001825a};

/* 1 / c */
static const uint64_t SSWU_INVERSE_ROOT[8] = {
    0x80ebdfb6a4237, 0xe53aa92a889ee, 0x9acd131ad49c5, 0xbb24397b6880f,
    0xa0f6390c35435, 0x09d1a752c04af, 0x8bdd1b18be86f, 0x0000000018190};

/* RFC 9380, E.3 */
static const uint64_t ISOGENY_X_NUMERATOR[64] = {
    0xc9e60f434cbcc, 0xf73d468a97617, 0x874b2588c3419, 0x554010c12cafa,
    0x2dfa0d378aad6, 0x6cfc24603d243, 0x408c648ae6c6e, 0x00000000142e0,
    0xc9e60f434cbcc, 0xf73d468a97617, 0x874b2588c3419, 0x554010c12cafa,
    0x2dfa0d378aad6, 0x6cfc24603d243, 0x408c648ae6c6e, 0x00000000142e0,
    0x0000000000000, 0x0000000000000, 0x0000000000000, 0x0000000000000,
    0x0000000000000, 0x0000000000000, 0x0000000000000, 0x0000000000000,
    0x7952e3d8ff467, 0x43b74d2af3fa1, 0xdb9910283bd5c, 0xe341859f481c7,
    0x5820bf5b4687d, 0x420ac14d7ae08, 0x4655dcb13f79f, 0x0000000005400,
    0x3b568e137db22, 0xdd7d036a85dff, 0xc7bb290cd7751, 0x97bef0c8c5423,
    0x8f135aae84583, 0xecce7a7ae8662, 0x6c26dda695155, 0x000000000a608,
    0xb4a971ec7cf89, 0x2134509579da0, 0xa3543935134ae, 0x7b0076680d5eb,
    0xe7341a09cae01, 0x2ed93bc86346a, 0xb27cba57d48f5, 0x000000000fa08,
    0x979c8bd6f440a, 0xd23d4e48e071a, 0x8d277e76b9146, 0xcfc5254388e05,
    0x74f83057ed90b, 0x5857d3401ffaa, 0x38c92bcd9e07e, 0x000000000532e,
    0x0000000000000, 0x0000000000000, 0x0000000000000, 0x0000000000000,
    0x0000000000000, 0x0000000000000, 0x0000000000000, 0x0000000000000};

/* RFC 9380, E.3 */
static const uint64_t ISOGENY_X_DENOMINATOR[32] = {
    0x0000000000000, 0x0000000000000, 0x0000000000000, 0x0000000000000,
    0x0000000000000, 0x0000000000000, 0x0000000000000, 0x0000000000000,
    0x1bbe07e307186, 0x2ade7f87bcbe8, 0x11d7c8f4b9cbb, 0x9a2c13d87ddc7,
    0xfc0ee706e43ad, 0x6cdbd3db7b4dd, 0xd1dc4eb9a1a54, 0x000000000bbb1,
    0x460afeaf7b431, 0xcd5122beb5b19, 0xc4664aadd2de0, 0x1d78417c77713,
    0xa4d7d1f9b9711, 0x004b2b884890e, 0x717302e000d24, 0x000000000f618,
    0xa9f501507f67a, 0x316031414a086, 0xa6a9179417e1f, 0xf54725b45b2fb,
    0xd16fa2be95c73, 0x1b5c8abb031be, 0xad30951e68d27, 0x000000000a9f8};

/* RFC 9380, E.3 */
static const uint64_t ISOGENY_Y_NUMERATOR[64] = {
    0x8948ed258662c, 0x1c85ccb127737, 0x3fb4e4e151aae, 0xd42744b819fcc,
    0x67ea2d3eaedeb, 0x2c57b9d2101fa, 0x5d74444e6153d, 0x00000000144a0,
    0x8948ed258662c, 0x1c85ccb127737, 0x3fb4e4e151aae, 0xd42744b819fcc,
    0x67ea2d3eaedeb, 0x2c57b9d2101fa, 0x5d74444e6153d, 0x00000000144a0,
    0x0000000000000, 0x0000000000000, 0x0000000000000, 0x0000000000000,
    0x0000000000000, 0x0000000000000, 0x0000000000000, 0x0000000000000,
    0x2dd011e450e15, 0x5b4c550d2bb85, 0x698df26f08458, 0x2d0ef4f9106e2,
    0x5a91ddfc67039, 0x880d8392f7af3, 0x7c49f6c94ec71, 0x000000000f6c0,
    0x5254b8f63bd1a, 0x0ff2d24abcca0, 0x8731cdbb7f057, 0x46dfeecc6fffd,
    0x2ebdc7610d0c3, 0x25407905d779c, 0xe890292b1f1a0, 0x0000000014d0c,
    0x9dab4709bed91, 0xeebe81b542eff, 0xe3dd94866bba8, 0xcbdf786462a11,
    0x4789ad57422c1, 0xf6673d3d74331, 0x36136ed34a8aa, 0x0000000005304,
    0xc2cbd163005c4, 0xb90c733d0a561, 0xc2fd1759b423d, 0xc73de30a0975d,
    0xd28793083af54, 0xf4fd33177d1fa, 0xac2a016511c07, 0x000000000f9a6,
    0x0000000000000, 0x0000000000000, 0x0000000000000, 0x0000000000000,
    0x0000000000000, 0x0000000000000, 0x0000000000000, 0x0000000000000};

/* RFC 9380, E.3 */
static const uint64_t ISOGENY_Y_DENOMINATOR[48] = {
    0xc6742f52353ce, 0x03d4552e6d030, 0x94eff13885463, 0x7789a8b14de8b,
    0xfbca80b8baf07, 0x55d78a9e4c798, 0xade2a85cf6964, 0x0000000012608,
    0xc6742f52353ce, 0x03d4552e6d030, 0x94eff13885463, 0x7789a8b14de8b,
    0xfbca80b8baf07, 0x55d78a9e4c798, 0xade2a85cf6964, 0x0000000012608,
    0x0000000000000, 0x0000000000000, 0x0000000000000, 0x0000000000000,
    0x0000000000000, 0x0000000000000, 0x0000000000000, 0x0000000000000,
    0x633a17a91a9e7, 0x81ea2a9736818, 0xca77f89c42a31, 0xbbc4d458a6f45,
    0x7de5405c5d783, 0x2aebc54f263cc, 0x56f1542e7b4b2, 0x0000000009304,
    0xf1107e073b8f4, 0x34a10a1e10ad5, 0xf111bee3c6ed1, 0x22d4aea249d95,
    0x3c20009a6e8d7, 0x729ce62ac702f, 0x1adab850cc690, 0x000000000a11c,
    0xfeef81f8bf1b7, 0xca1049e1ef0c9, 0x79fda35e23d2e, 0xefeab88e88c79,
    0x3a27741de0aad, 0xa90ad01884a9e, 0x03c8dfad9d3ba, 0x000000000fef5};
