prelude import Base set_option autoImplicit false set_option genCtorIdx false noncomputable section
/-! # Spec: what a certificate claims. Numbers are 0, 1, 2, ...; `a.add b` is a + b, `a.le b` is a ≤ b, `a.lt b` a < b.
`digit b x i` is digit i of x in base b, `count p xs` how many of xs have p: see Base, with Pascal's `choose`. -/
/-- Rows were drawn from a recipe, from a list, or neither. -/ inductive Frame where | generated | listed | convenience
/-- What the certificate says in the end. -/ inductive Verdict where | certified | consistent | refused
/-- One side of the box: the word of a feature is at least `lo`, at most `hi`. -/ structure Range where (lo hi : Nat)
/-- Where an end of a side lay in n resamples (the digits), and that the i-th smallest is `low`, the j-th `high`. -/
structure Interval where (n digits i low j high : Nat)
/-- One material: its group, the word of its error, one word for each feature of the box. -/
structure Row where (group error : Nat) (features : List Nat)
/-- The rows as written: the groups of a block are the digits of one number, so are the errors, so is each feature. -/
inductive Rows where | block (count groups errors : Nat) (features : List Nat) | join (left right : Rows)
/-- Everything that a certificate states. Errors, tolerance and noise are in 10⁻⁶ of the property's unit. -/
structure Certificate where
  (frame : Frame) (verdict : Verdict) (box : List Range) (intervals : List Interval) (rows : Rows) (tolerance noise
  requestedNum requestedDen use alphaNum alphaDen rowCount inside failed unknown boundNum boundDen smallest : Nat)
/-- The base in which errors and features are written: words have 32 bits, and one bit is spare. -/
def wordBase : Nat := Nat.pow 2 33
/-- The same for groups: they have 64 bits, and one bit is spare. -/ def groupBase : Nat := Nat.pow 2 65
/-- The error of a row without a reference; one too large is just below. -/ def unknownError : Nat := 0xffffffff
/-- The rows as a list: row i of a block takes digit i of each of its numbers. -/
def Rows.table : Rows → List Row
  | .join l r => l.table.append r.table
  | .block n g e fs => listOf n (fun i => ⟨digit groupBase g i, digit wordBase e i, fs.map (digit wordBase · i)⟩)
/-- A block has m features, and no number in it has more digits than the block has rows: nothing is left out. -/
def Rows.Fit (m : Nat) : Rows → Prop
  | .join l r => And (l.Fit m) (r.Fit m)
  | .block n g e fs => And (Eq fs.length m) (And (g.lt (groupBase.pow n)) (All (·.lt (wordBase.pow n)) (.cons e fs)))
/-- The ends of a side are words in order. A missing feature has the word 0, so that it is never inside. -/
def Range.Proper (r : Range) : Prop := And (Nat.lt 0 r.lo) (And (r.lo.le r.hi) (r.hi.le unknownError))
/-- **The guard**: what the box admits. Every feature lies in its range. -/
def inBox : List Range → List Nat → Bool
  | .nil, _ => .true | .cons _ _, .nil => .false
  | .cons r rs, .cons x xs => ((r.lo.ble x).and (x.ble r.hi)).and (inBox rs xs)
/-- The reference of this row is not known. -/ def Row.unknown (r : Row) : Bool := r.error.beq unknownError
/-- A row fails if its reference is unknown, or if its error and the noise together exceed the tolerance. -/
def Row.fails (tolerance noise : Nat) (r : Row) : Bool := r.unknown.or (tolerance.blt (r.error.add noise))
/-- dⁿ times the probability of at most k failures in n independent trials, each failing with probability p/d. -/
def tail (n p d : Nat) : Nat → Nat
  | .zero => (d.sub p).pow n
  | .succ k => (tail n p d k).add (((choose n k.succ).mul (p.pow k.succ)).mul ((d.sub p).pow (n.sub k.succ)))
/-- At failure rate p/d, at most k failures in n have a probability of at most a/b: p/d is an upper bound. -/
def Bounds (a b n k d p : Nat) : Prop := (b.mul (tail n p d k)).le (a.mul (d.pow n))
/-- p/d is the exact bound (one-sided, Clopper and Pearson) in steps of 1/d: 1 if all fail or n is 0, else the least. -/
def Exact (a b n k d p : Nat) : Prop := Or (And (Eq k n) (Eq p d))
  (And (k.lt n) (And (Bounds a b n k d p) (Or (Eq p 0) (Not (Bounds a b n k d p.pred)))))
/-- With n trials and no failure, the failure rate is below p/d with confidence 1 - a/b. -/
def Enough (a b p d n : Nat) : Prop := (b.mul ((d.sub p).pow n)).le (a.mul (d.pow n))
/-- q is the i-th smallest of xs: fewer than i are below it, and at least i are not above it, so it is one of them. -/
def Ordered (xs : List Nat) (i q : Nat) : Prop := And ((count (·.blt q) xs).lt i) (i.le (count (·.ble q) xs))
/-- Both are where they are said to be, and the number has no more than n digits. -/
def Interval.Proper : Interval → Prop
  | ⟨n, x, i, low, j, high⟩ => And (x.lt (wordBase.pow n))
    (And (Ordered (listOf n (digit wordBase x)) i low) (Ordered (listOf n (digit wordBase x)) j high))
/-- The verdict that follows from the frame, and from whether the bound is at most the requested rate. -/
def verdictOf : Frame → Bool → Verdict
  | _, .false => .refused | .convenience, .true => .consistent | _, .true => .certified
/-- **What `check_sound` proves of a certificate**, field by field: -/
structure Valid (c : Certificate) : Prop where
  /-- the box has at least one side, and all are proper; -/ box : And (Nat.lt 0 c.box.length) (All Range.Proper c.box)
  /-- the ends of the intervals are the order statistics as told; -/ intervals : All Interval.Proper c.intervals
  /-- no row is dropped or cut; -/ fit : c.rows.Fit c.box.length
  /-- an error too large for its word counts as a failure; -/ tolerance : c.tolerance.lt unknownError.pred
  /-- no two rows are of the same group; -/ groups : Distinct (c.rows.table.map Row.group)
  /-- there are so many rows; -/ rowCount : Eq c.rows.table.length c.rowCount
  /-- n: so many are inside the box; -/ inside : Eq (count (fun r => inBox c.box r.features) c.rows.table) c.inside
  /-- k: so many inside the box fail; -/
  failed : Eq (count (fun r => (inBox c.box r.features).and (r.fails c.tolerance c.noise)) c.rows.table) c.failed
  /-- so many of those have an unknown reference; -/
  unknown : Eq (count (fun r => (inBox c.box r.features).and r.unknown) c.rows.table) c.unknown
  /-- alpha is 0.05 / (j (j + 1)) at the j-th use of these rows; -/ alpha : And (Nat.lt 0 c.use)
    (And (Nat.lt 0 c.alphaNum) (Eq (c.alphaNum.mul ((Nat.mul 20 c.use).mul c.use.succ)) c.alphaDen))
  /-- the bound is a fraction of at most 1, and exact; -/ bound : And (Nat.lt 0 c.boundDen)
    (And (c.boundNum.le c.boundDen) (Exact c.alphaNum c.alphaDen c.inside c.failed c.boundDen c.boundNum))
  /-- 0 < requested rate < 1; -/ requested : And (Nat.lt 0 c.requestedNum) (c.requestedNum.lt c.requestedDen)
  /-- the smallest n with which no failure is enough for it; -/ smallest :
    And (Enough c.alphaNum c.alphaDen c.requestedNum c.requestedDen c.smallest) ((n : Nat) → n.lt c.smallest →
      Not (Enough c.alphaNum c.alphaDen c.requestedNum c.requestedDen n))
  /-- the verdict is the one that follows. -/ verdict : Eq c.verdict
    (verdictOf c.frame ((c.boundNum.mul c.requestedDen).ble (c.requestedNum.mul c.boundDen)))
