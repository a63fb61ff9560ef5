prelude
import Spec
/-! # Check: a total function that decides about a certificate
It works on the packed numbers as they are, on all rows of a block at once: digits have a spare bit, so that adding
the same number to each of them tells by that bit which are large enough, and no digit runs over into the next.
Nothing here need be trusted: `Sound` proves that whatever `check` accepts is `Valid`. -/
set_option autoImplicit false
noncomputable section

/-- Base of digits that have e bits and a spare one. -/
def lane (e : Nat) : Nat := Nat.pow 2 e.succ

/-- The number with n digits 1. -/
def ones (e n : Nat) : Nat := (((lane e).pow n).sub 1).div ((lane e).sub 1)

/-- The spare bits of all digits of x, as digits 0 and 1. -/
def spare (e n x : Nat) : Nat := (x.land ((ones e n).mul (Nat.pow 2 e))).div (Nat.pow 2 e)

/-- Which of the n digits of x are at least `low`? As digits 0 and 1, if no spare bit of x is set. -/
def atLeast (e n low x : Nat) : Nat := spare e n (x.add ((ones e n).mul ((Nat.pow 2 e).sub low)))

/-- Which of the n digits of x are at least `low` and at most `high`? -/
def between (n low high x : Nat) : Nat := (atLeast 32 n low x).land ((ones 32 n).sub (atLeast 32 n high.succ x))

/-- Which of the rows lie in the box? -/
def insideRows (n : Nat) : List Range → List Nat → Nat
  | .nil, _ => ones 32 n
  | .cons _ _, .nil => 0
  | .cons r rs, .cons x xs => (between n r.lo r.hi x).land (insideRows n rs xs)

/-- How many of the digits 0 and 1 are 1? -/
def sum (x : Nat) : Nat := x.mod (wordBase.sub 1)

/-- No spare bit is set, and there are no more than n digits. -/
def fit (e n x : Nat) : Bool := (x.blt ((lane e).pow n)).and ((spare e n x).beq 0)

/-- `fit` of all numbers of a list. -/
def fitAll (n : Nat) : List Nat → Bool
  | .nil => .true
  | .cons x xs => (fit 32 n x).and (fitAll n xs)

/-- All numbers of all blocks fit. -/
def fits : Rows → Bool
  | .block n g e fs => (n.blt (wordBase.sub 1)).and ((fit 64 n g).and ((fit 32 n e).and (fitAll n fs)))
  | .join l r => (fits l).and (fits r)

/-- Every block has m features. -/
def columns (m : Nat) : Rows → Bool
  | .block _ _ _ fs => fs.length.beq m
  | .join l r => (columns m l).and (columns m r)

/-- How many rows lie in the box, and have what `mask` says of their errors? -/
def countRows (box : List Range) (mask : Nat → Nat → Nat) : Rows → Nat
  | .block n _ e fs => sum ((insideRows n box fs).land (mask n e))
  | .join l r => (countRows box mask l).add (countRows box mask r)

/-- Which of the rows fail? -/
def failedRows (tolerance noise n e : Nat) : Nat := atLeast 32 n (tolerance.succ.sub noise) e

/-- Of which of the rows is the reference unknown? -/
def unknownRows (n e : Nat) : Nat := between n unknownError unknownError e

/-- Number of rows. -/
def size : Rows → Nat
  | .block n _ _ _ => n
  | .join l r => (size l).add (size r)

/-- The groups of a block from the second on, plus 2ᵉ - 1 in each digit, plus one high digit to borrow from. -/
def raised (e n g : Nat) : Nat :=
  ((g.div (lane e)).add ((ones e n).mul ((Nat.pow 2 e).sub 1))).add ((lane e).mul ((lane e).pow n))

/-- Do the groups of a block ascend strictly from `low` on, and does `rest` agree with what follows? -/
def ascendBlock (e : Nat) (rest : Nat → Bool) : Nat → Nat → Nat → Bool
  | .zero, _, low => rest low
  | .succ n, g, low => (low.ble (g.mod (lane e))).and ((g.ble (raised e n g)).and
      (((spare e n ((raised e n g).sub g)).beq (ones e n)).and (rest ((g.div ((lane e).pow n)).mod (lane e)).succ)))

/-- Do the groups of all rows ascend strictly from `low` on? -/
def ascendRows : Rows → (Nat → Bool) → Nat → Bool
  | .block n g _ _, rest, low => ascendBlock 64 rest n g low
  | .join l r, rest, low => ascendRows l (ascendRows r rest) low

/-- `sides` decides what is claimed of the sides of the box. -/
def sides : List Range → Bool
  | .nil => .true
  | .cons r rs => ((Nat.ble 1 r.lo).and ((r.lo.ble r.hi).and (r.hi.ble unknownError))).and (sides rs)

/-- `ordered` decides `Ordered` of the n digits of x, for a value that is a word. -/
def ordered (n x i q : Nat) : Bool :=
  (q.ble unknownError).and (((n.sub (sum (atLeast 32 n q x))).blt i).and (i.ble (n.sub (sum (atLeast 32 n q.succ x)))))

/-- `proper` decides `Interval.Proper`. -/
def proper : Interval → Bool
  | ⟨n, x, i, low, j, high⟩ =>
    ((n.blt (wordBase.sub 1)).and (fit 32 n x)).and ((ordered n x i low).and (ordered n x j high))

/-- `propers` decides it of all. -/
def propers : List Interval → Bool
  | .nil => .true
  | .cons v vs => (proper v).and (propers vs)

/-- The tail without its last power, by Horner's rule; each term comes from the one before. -/
def tailLoop (n p q : Nat) : Nat → Nat → Nat → Nat → Nat
  | .zero, _, _, sum => sum
  | .succ steps, j, term, sum =>
    let next := ((term.mul (n.sub j)).mul p).div j.succ
    tailLoop n p q steps j.succ next ((sum.mul q).add next)

/-- `bounds` decides `Bounds` if k ≤ n. -/
def bounds (a b n k d p : Nat) : Bool :=
  (b.mul ((tailLoop n p (d.sub p) k 0 1 1).mul ((d.sub p).pow (n.sub k)))).ble (a.mul (d.pow n))

/-- `enough` decides `Enough`. -/
def enough (a b p d n : Nat) : Bool := (b.mul ((d.sub p).pow n)).ble (a.mul (d.pow n))

/-- `enough` fails just below n. -/
def notBefore (a b p d : Nat) : Nat → Bool
  | .zero => .true
  | .succ n => (enough a b p d n).not

/-- The bound is exact and the least one. -/
def boundRight (c : Certificate) : Bool :=
  (c.failed.beq c.inside).pick (c.boundNum.beq c.boundDen)
    ((c.failed.ble c.inside).and
      ((bounds c.alphaNum c.alphaDen c.inside c.failed c.boundDen c.boundNum).and
        ((c.boundNum.beq 0).or
          (bounds c.alphaNum c.alphaDen c.inside c.failed c.boundDen c.boundNum.pred).not)))

def sameVerdict : Verdict → Verdict → Bool
  | .certified, .certified => .true
  | .consistent, .consistent => .true
  | .refused, .refused => .true
  | _, _ => .false

/-- What is claimed of the numbers alone. -/
def checkNumbers (c : Certificate) : Bool :=
  (((Nat.blt 0 c.box.length).and (sides c.box)).and (c.tolerance.blt unknownError.pred)).and
  ((propers c.intervals).and
  (((Nat.ble 1 c.use).and ((Nat.ble 1 c.alphaNum).and
    ((c.alphaNum.mul ((Nat.mul 20 c.use).mul c.use.succ)).beq c.alphaDen))).and
  (((Nat.blt 0 c.boundDen).and (c.boundNum.ble c.boundDen)).and
  (((Nat.blt 0 c.requestedNum).and (c.requestedNum.blt c.requestedDen)).and
  (((enough c.alphaNum c.alphaDen c.requestedNum c.requestedDen c.smallest).and
    (notBefore c.alphaNum c.alphaDen c.requestedNum c.requestedDen c.smallest)).and
  ((sameVerdict c.verdict
    (verdictOf c.frame ((c.boundNum.mul c.requestedDen).ble (c.requestedNum.mul c.boundDen)))).and
  (boundRight c)))))))

/-- What is claimed of the rows. -/
def checkRows (c : Certificate) : Bool :=
  (fits c.rows).and
  ((((size c.rows).beq c.rowCount).and (columns c.box.length c.rows)).and
  ((ascendRows c.rows (fun _ => .true) 0).and
  (((countRows c.box (fun n _ => ones 32 n) c.rows).beq c.inside).and
  (((countRows c.box (failedRows c.tolerance c.noise) c.rows).beq c.failed).and
  ((countRows c.box unknownRows c.rows).beq c.unknown)))))

/-- The checker. -/
def check (c : Certificate) : Bool := (checkNumbers c).and (checkRows c)
