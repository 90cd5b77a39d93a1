/* Interpolation of eight rows by one rule (interpolation.pyx says what a rule is). */
#pragma once
#include "api.h"
#include "points.h"

/* Elements of `table` that `interpolate` takes. */
static size_t table_points(const lanes_plan *plan)
{
    size_t own = plan->powers * plan->shares * plan->multiples;
    size_t of_scale = plan->scale ? table_points(plan->scale) : 0;
    return own > of_scale ? own : of_scale;
}

/* table[power][share][multiple]: the odd multiples of shares, times |x|^power by -psi */
static void make_multiples(g2_jacobian *table, const g2_affine *shares, const lanes_plan *plan)
{
    size_t of_power = plan->shares * plan->multiples;
    for (size_t share = 0; share < plan->shares; share++) {
        g2_jacobian *row = table + share * plan->multiples, twice;
        g2_from_affine(&row[0], &shares[share]);
        if (plan->multiples > 1)
            g2_double(&twice, &row[0]);
        for (size_t m = 1; m < plan->multiples; m++)
            g2_add(&row[m], &row[m - 1], &twice);
    }
    for (size_t i = of_power; i < plan->powers * of_power; i++) {
        g2_psi(&table[i], &table[i - of_power]);
        fp2_negate(&table[i].Y, &table[i].Y, P_64);
    }
}

/* out = sum of the plan's terms, without its scale. An exception makes Z = 0. */
static void interpolate(g2_jacobian *out, const g2_affine *shares, const lanes_plan *plan, g2_jacobian *table)
{
    int begun = 0, plain = plan->multiples == 1 && plan->powers == 1;
    if (!plain)
        make_multiples(table, shares, plan);
    for (size_t position = plan->length; position-- > 0;) {
        if (begun)
            g2_double(out, out);
        for (size_t i = 0; i < plan->n_terms; i++) {
            const lanes_term *term = &plan->terms[i];
            int digit = term->digits[position];
            if (digit == 0)
                continue;
            lane_mask negative = digit < 0 ? 0xff : 0;
            size_t odd = (size_t) (digit < 0 ? -digit : digit) / 2;
            if (plain && begun) {
                g2_affine q = shares[term->share];
                g2_negate_y(&q.y, negative, &q.y);
                g2_add_affine(out, out, &q);
                continue;
            }
            g2_jacobian q;
            if (plain)
                g2_from_affine(&q, &shares[term->share]);
            else
                q = table[(term->power * plan->shares + term->share) * plan->multiples + odd];
            g2_negate_y(&q.Y, negative, &q.Y);
            if (begun)
                g2_add(out, out, &q);
            else
                *out = q;
            begun = 1;
        }
    }
}
